"""Queries that Kibana would send for a saved object, read off the object itself."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from deploy.kibana.generate import PATH

Json = dict[str, Any]


class Question(NamedTuple):
    """One search of a panel, with the types that its fields must have."""

    panel: str
    view: str
    body: Json
    fields: dict[str, set[str]]


def saved_objects() -> list[Json]:
    return [json.loads(line) for line in PATH.read_text().splitlines()]


def of_kind(kind: str) -> list[Json]:
    return [each for each in saved_objects() if each["type"] == kind]


def patterns() -> dict[str, str]:
    """{id of a data view: its pattern}."""
    return {each["id"]: each["attributes"]["title"] for each in of_kind("index-pattern")}


def time_fields() -> dict[str, str]:
    return {each["id"]: each["attributes"]["timeFieldName"] for each in of_kind("index-pattern")}


def questions() -> Iterator[Question]:
    for visualization in of_kind("visualization"):
        yield asked_by_visualization(visualization)
    for drawn in of_kind("map"):
        yield from asked_by_map(drawn)


def asked_by_visualization(visualization: Json) -> Question:
    """Its buckets, each inside the one before, with the metrics in the innermost."""
    state = json.loads(visualization["attributes"]["visState"])
    source = json.loads(visualization["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])
    enabled = [each for each in state["aggs"] if each["enabled"]]
    metrics = [each for each in enabled if each["schema"] == "metric"]
    buckets = [each for each in enabled if each["schema"] != "metric"]
    inner = {each["id"]: metric(each) for each in metrics if each["type"] != "count"}
    for each in reversed(buckets):
        inner = {each["id"]: {**bucket(each), **({"aggs": inner} if inner else {})}}
    assert source["query"]["language"] == "lucene"
    text = source["query"]["query"]
    query = {"query_string": {"query": text}} if text else {"match_all": {}}
    of_fields = [each for each in enabled if each["type"] != "count"]
    fields = {each["params"]["field"]: types_for(each) for each in of_fields}
    body = {"size": 0, "query": query, "aggs": inner}
    return Question(visualization["id"], view_of(visualization), body, fields)


def types_for(aggregation: Json) -> set[str]:
    """The types of field that Kibana offers for the aggregation."""
    return {
        "terms": {"keyword", "boolean"},
        "date_histogram": {"date"},
        "avg": {"double"},
        "percentiles": {"double"},
    }[aggregation["type"]]


def bucket(aggregation: Json) -> Json:
    params = aggregation["params"]
    if aggregation["type"] == "date_histogram":
        named = {"field": params["field"], "min_doc_count": params["min_doc_count"]}
        return {"date_histogram": {**named, "fixed_interval": "1d"}}
    assert params["orderBy"] == "1", "the first metric, which is the count"
    missing = {"missing": params["missingBucketLabel"]} if params["missingBucket"] else {}
    return {"terms": {"field": params["field"], "size": params["size"], **missing}}


def metric(aggregation: Json) -> Json:
    params = {k: v for k, v in aggregation["params"].items() if k in {"field", "percents"}}
    return {aggregation["type"]: params}


def asked_by_map(drawn: Json) -> Iterator[Question]:
    """Tiles with counts for the heat map; the newest documents within the bounds for points."""
    for layer in json.loads(drawn["attributes"]["layerListJSON"]):
        source = layer["sourceDescriptor"]
        view = view_of(drawn, source.get("indexPatternRefName"))
        if source["type"] == "ES_GEO_GRID":
            tiles = {"geotile_grid": {"field": source["geoField"], "precision": 5}}
            body: Json = {"size": 0, "aggs": {"tiles": tiles}}
            yield Question(drawn["id"], view, body, {source["geoField"]: {"geo_point"}})
        if source["type"] == "ES_SEARCH":
            yield Question(drawn["id"], view, newest(source), fields_of_points(layer))


def newest(source: Json) -> Json:
    world = {"top_left": {"lat": 89, "lon": -180}, "bottom_right": {"lat": -89, "lon": 180}}
    return {
        "size": 10_000,
        "query": {"geo_bounding_box": {source["geoField"]: world}},
        "sort": [{source["sortField"]: source["sortOrder"]}],
        "fields": [*source["tooltipProperties"], source["geoField"]],
    }


def fields_of_points(layer: Json) -> dict[str, set[str]]:
    source = layer["sourceDescriptor"]
    styles = layer["style"]["properties"].values()
    coloured = [each["options"]["field"]["name"] for each in styles if each["type"] == "DYNAMIC"]
    shown = {name: {"keyword", "date"} for name in source["tooltipProperties"]}
    drawn = {source["geoField"]: {"geo_point"}, source["sortField"]: {"date"}}
    return {**shown, **drawn, **{name: {"keyword"} for name in coloured}}


def view_of(saved: Json, name: str | None = None) -> str:
    """The data view that a saved object's reference names."""
    named = [each for each in saved["references"] if name is None or each["name"] == name]
    return str(named[0]["id"]) if named else ""
