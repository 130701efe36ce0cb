"""A dashboard in a few words, and its JSON as Grafana 11 imports it (schema 39)."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec

Kind = Literal["stat", "timeseries"]
Json = dict[str, Any]

GRID_COLUMNS = 24
SCHEMA_VERSION = 39
SOURCE = {"type": "prometheus", "uid": "${source}"}  # chosen at the top of each dashboard


class Query(msgspec.Struct, frozen=True):
    """A PromQL expression, and the name of its lines: {{label}} stands for a label's value."""

    expr: str
    legend: str = ""


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """One picture. `unit` is Grafana's name of it; `red_above` colours a number that is too high.

    `meaning` explains how to read it; it is shown at the panel's corner.
    """

    title: str
    queries: tuple[Query, ...]
    meaning: str
    unit: str = "short"
    kind: Kind = "timeseries"
    stacked: bool = False
    red_above: float | None = None
    lowest: float | None = 0  # of the axis; None: what there is
    columns: int = 8
    rows: int = 7


class Dashboard(msgspec.Struct, frozen=True, kw_only=True):
    """`uid` is part of its address and of the name of its file."""

    uid: str
    title: str
    panels: tuple[Panel, ...]
    since: str = "now-3h"


def to_json(dashboard: Dashboard) -> bytes:
    """The file, the same bytes for the same dashboard."""
    return msgspec.json.format(msgspec.json.encode(document(dashboard)), indent=2) + b"\n"


def document(dashboard: Dashboard) -> Json:
    """The dashboard as Grafana keeps it."""
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["ordertide"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,  # one crosshair over all panels
        "refresh": "10s",
        "time": {"from": dashboard.since, "to": "now"},
        "timezone": "browser",
        "annotations": {"list": [firing()]},
        "links": [neighbours()],
        "templating": {"list": [source_variable()]},
        "panels": [*placed(dashboard.panels)],
    }


def placed(panels: Sequence[Panel]) -> Iterator[Json]:
    """The panels from left to right, a new row where one doesn't fit."""
    x = y = tallest = 0
    for number, panel in enumerate(panels, 1):
        if x + panel.columns > GRID_COLUMNS:
            x, y, tallest = 0, y + tallest, 0
        place = {"x": x, "y": y, "w": panel.columns, "h": panel.rows}
        yield {"id": number, "gridPos": place, **drawn(panel)}
        x, tallest = x + panel.columns, max(tallest, panel.rows)


def drawn(panel: Panel) -> Json:
    """A panel without its place."""
    options = STAT_OPTIONS if panel.kind == "stat" else TIMESERIES_OPTIONS
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.meaning,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": field_defaults(panel), "overrides": []},
        "options": options,
        "targets": [target(number, query) for number, query in enumerate(panel.queries)],
    }


def field_defaults(panel: Panel) -> Json:
    """Unit, limits and display of its values."""
    steps: list[Json] = [{"color": "green", "value": None}]
    if panel.red_above is not None:
        steps.append({"color": "red", "value": panel.red_above})
    defaults: Json = {
        "unit": panel.unit,
        "min": panel.lowest,
        "thresholds": {"mode": "absolute", "steps": steps},
    }
    if panel.kind == "timeseries":
        stacking = {"mode": "normal" if panel.stacked else "none"}
        shown = "line" if panel.red_above is not None else "off"
        defaults["custom"] = {
            "fillOpacity": 30 if panel.stacked else 8,
            "lineWidth": 1,
            "stacking": stacking,
            "thresholdsStyle": {"mode": shown},
        }
    return defaults


def target(number: int, query: Query) -> Json:
    """A query of a panel."""
    return {
        "refId": chr(ord("A") + number),
        "datasource": SOURCE,
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
        "range": True,
    }


STAT_OPTIONS: Json = {
    "colorMode": "value",
    "graphMode": "area",
    "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
}
TIMESERIES_OPTIONS: Json = {
    "legend": {"displayMode": "list", "placement": "bottom"},
    "tooltip": {"mode": "multi", "sort": "desc"},
}


def source_variable() -> Json:
    """Selection of the Prometheus; the first one by default."""
    return {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}


def neighbours() -> Json:
    """The other dashboards, at the top."""
    return {
        "type": "dashboards",
        "title": "ordertide",
        "tags": ["ordertide"],
        "asDropdown": True,
        "includeVars": True,
        "keepTime": True,
    }


def firing() -> Json:
    """Alerts of deploy/prometheus as marks on the time axis."""
    return {
        "name": "Alerts",
        "datasource": SOURCE,
        "enable": True,
        "iconColor": "red",
        "expr": 'ALERTS{alertstate="firing", alertname=~"Orde.+"}',
        "titleFormat": "{{alertname}}",
        "step": "60s",
    }
