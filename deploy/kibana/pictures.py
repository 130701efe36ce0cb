"""Pictures in a few words: a metric, its documents and its buckets."""

from typing import Literal

import msgspec

Kind = Literal["pie", "horizontal_bar", "histogram", "table"]


class DataView(msgspec.Struct, frozen=True):
    """A pattern over indices; `time_field` is what the dashboard's time range is about."""

    id: str
    name: str
    pattern: str
    time_field: str = "@timestamp"


class Metric(msgspec.Struct, frozen=True):
    """Metric of a bucket's documents; a count needs no field."""

    kind: Literal["count", "avg", "percentiles"] = "count"
    field: str = ""
    label: str = ""
    percents: tuple[int, ...] = ()


class Bucket(msgspec.Struct, frozen=True):
    """Documents by the values of a field, or by time; `place` is Kibana's name of the role.

    `segment` is an axis or a slice, `group` a colour, `bucket` a table's row. `missing` is what
    documents without the field are called; without it they are left out.
    """

    kind: Literal["terms", "date_histogram"]
    field: str
    place: Literal["segment", "group", "bucket"] = "segment"
    label: str = ""
    size: int = 10
    missing: str = ""


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """One panel. `query` is in Lucene's language, which Elasticsearch takes as it is."""

    id: str
    title: str
    meaning: str
    kind: Kind
    view: DataView
    metrics: tuple[Metric, ...] = (Metric(),)
    buckets: tuple[Bucket, ...]
    query: str = ""
    columns: int = 16
    rows: int = 12


class Map(msgspec.Struct, frozen=True, kw_only=True):
    """Points on a base map: each by itself, and how many there are around it."""

    id: str
    title: str
    meaning: str
    view: DataView
    point: str
    newest_by: str
    colour_by: str
    colours: dict[str, str]
    tooltip: tuple[str, ...]
    columns: int = 32
    rows: int = 18


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """A dashboard; its panels fill the grid row by row."""

    id: str
    title: str
    meaning: str
    panels: tuple[Picture | Map, ...]
    since: str = "now-90d"
