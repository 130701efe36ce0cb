"""Kibana's objects: current, whole, with queries that the warm tier's indices answer.

No Kibana is available where this runs, so its import is not tested. What an import refuses is
checked on the file, and its queries are sent to a real Elasticsearch with documents that the engine
made.
"""

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import msgspec
import pytest
from elasticsearch import Elasticsearch

from commands.replay import replay
from commands.wiring.definitions import vocabulary_of
from deploy.kibana.dashboard import GRID_COLUMNS, ndjson
from deploy.kibana.generate import PATH
from deploy.kibana.orders import BOARD, VIEWS
from schemas.instants import parse_instant
from schemas.order import OrderDocument
from schemas.settings.model import Settings
from storage_tiering.dead_letters import dead_letter_of
from storage_tiering.warm.elastic.access import connect
from storage_tiering.warm.elastic.templates import fields_of
from storage_tiering.warm.elastic.tier import ElasticTier
from tests.contracts.test_outcomes import action, entry, records
from tests.support.kibana_questions import (
    Question,
    of_kind,
    patterns,
    questions,
    saved_objects,
    time_fields,
)
from tests.support.tiers.elastic_places import shared_place
from tests.support.tiers.orders import Log, accepted, dead_letter, document

QUESTIONS = [*questions()]
VOCABULARY = vocabulary_of(Settings())
# By type: the version of its last migration in Kibana 8.9, and its attributes. An import refuses a
# version that Kibana doesn't know yet, and attributes of another type.
TYPES: dict[str, tuple[str, dict[str, type]]] = {
    "index-pattern": ("8.0.0", dict.fromkeys(("title", "name", "timeFieldName"), str)),
    "visualization": (
        "8.5.0",
        {"title": str, "description": str, "visState": str, "uiStateJSON": str}
        | {"version": int, "kibanaSavedObjectMeta": dict},
    ),
    "map": (
        "8.4.0",
        dict.fromkeys(
            ("title", "description", "layerListJSON", "mapStateJSON", "uiStateJSON"), str
        ),
    ),
    "dashboard": (
        "8.9.0",
        {"title": str, "description": str, "panelsJSON": str, "optionsJSON": str}
        | {"timeRestore": bool, "timeFrom": str, "timeTo": str, "version": int}
        | {"kibanaSavedObjectMeta": dict},
    ),
}
UNTIL = parse_instant("2018-01-10T00:00:00Z")
CARRIERS = {"A": "sf", "B": "jd", "C": None, "D": "sf"}
SHANGHAI = {"name": "上海", "lat": 31.2, "lon": 121.5}
# order, status, day of January 2018, and further fields of the event.
HAPPENED: tuple[tuple[str, str, int, dict[str, Any]], ...] = (
    ("A", "PAID", 1, {"promised_at": "2018-01-05T10:00:00Z"}),
    ("A", "IN_TRANSIT", 2, {"shipment": "SF1", "location": SHANGHAI}),
    ("B", "PAID", 1, {"promised_at": "2018-01-08T10:00:00Z"}),
    ("B", "SHIPPED", 3, {}),
    ("B", "DELIVERED", 6, {}),
    ("C", "PAID", 1, {"promised_at": "2018-01-04T10:00:00Z"}),
    ("D", "PAID", 3, {"promised_at": "2018-01-30T10:00:00Z"}),
    ("D", "IN_TRANSIT", 9, {"shipment": "SF2", "location": {"lat": -23.5, "lon": -46.6}}),
)


COMMANDED = [
    entry("1", operator="u-5"),
    entry("2", operator="u-5", what="command.refused"),
    entry("3", what="alert.opened"),
]
LETTERS = [
    dead_letter("no_order", b'{"source": "shop", "status_code": "PAID"}'),
    dead_letter("malformed_json", b'{"source": "sh', offset=1),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Elasticsearch, str]]:
    """(client, prefix), with the engine's outputs for a few orders."""
    folder = tmp_path_factory.mktemp("replay")
    events = [event(number, *said) for number, said in enumerate(HAPPENED)]
    (folder / "events.ndjson").write_bytes(msgspec.json.Encoder().encode_lines(events))
    replay((str(folder / "events.ndjson"),), None, None, UNTIL, 1, folder / "out")
    log = Log()
    with shared_place() as (url, prefix), connect(url) as client:
        tier = ElasticTier(client, prefix)
        tier.write_orders(log.changes(*documents(folder / "out" / "orders.ndjson")))
        said = [accepted(each["order_id"], each["event_id"]) for each in events]
        tier.write_events(log.events(*said))
        tier.write_outcomes(records(*COMMANDED, action("a")))
        tier.write_dead_letters([*map(dead_letter_of, LETTERS)])
        assert tier.flush(force=True)
        yield client, prefix


def event(number: int, order: str, status: str, day: int, more: dict[str, Any]) -> dict[str, Any]:
    return {
        "event_id": str(number),
        "order_id": order,
        "status_code": status,
        "timestamp": f"2018-01-{day:02d}T10:00:00Z",
        "source": "shop",
        **more,
    }


def documents(path: Path) -> Iterator[OrderDocument]:
    """The orders as they are published; replay writes all of a document but a few fields."""
    left_out = msgspec.to_builtins(document())
    for line in path.read_bytes().splitlines():
        order = msgspec.json.decode(line)
        placed = {"carrier": CARRIERS[order["order_id"]], "warm_period": "2018-01"}
        yield msgspec.convert({**left_out, **order, **placed}, OrderDocument)


def pattern(prefix: str, view: str) -> str:
    return patterns()[view].replace("ordertide-", f"{prefix}-")


def title_of(question: Question) -> str:
    return question.panel


def test_the_file_is_what_the_code_says() -> None:
    assert PATH.read_bytes() == ndjson(VIEWS, BOARD), "run 'python -m deploy.kibana.generate'"


def test_every_reference_leads_to_an_object_of_the_file() -> None:
    there = {(each["type"], each["id"]) for each in saved_objects()}
    assert len(there) == len(saved_objects())
    for each in saved_objects():
        names = [reference["name"] for reference in each["references"]]
        assert len({*names}) == len(names)
        for reference in each["references"]:
            assert (reference["type"], reference["id"]) in there


def test_every_object_is_one_that_an_import_takes() -> None:
    for each in saved_objects():
        version, attributes = TYPES[each["type"]]
        assert (each["coreMigrationVersion"], each["typeMigrationVersion"]) == ("8.8.0", version)
        assert {n: type(value) for n, value in each["attributes"].items()} == attributes
        assert re.fullmatch(r"ordertide(-[a-z]+)*", each["id"]), "a fixed id: an import replaces it"
        for name, inner in inner_json(each["attributes"]):
            used = {*re.findall(r'"(?:indexRefName|indexPatternRefName)":"([^"]+)"', inner)}
            assert used <= {reference["name"] for reference in each["references"]}, name


def inner_json(attributes: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(name, text) of the JSON inside strings, which has to be JSON."""
    for name, value in attributes.items():
        if isinstance(value, dict):
            yield from inner_json(value)
        elif name.endswith(("JSON", "State")):
            json.loads(value)
            yield name, value


@pytest.mark.parametrize("question", QUESTIONS, ids=title_of)
def test_every_field_is_in_the_mapping(question: Question) -> None:
    mapped = mapped_fields(fields_of(question.view.removeprefix("ordertide-"), VOCABULARY))
    asked = question.body.get("query", {}).get("query_string", {}).get("query", "")
    named = re.findall(r"_exists_:([\w.]+)|(?<![\w.:])(?!_exists_)([\w.@]+):", asked)
    assert bool(named) == bool(asked)
    assert {one or other for one, other in named} <= mapped.keys()
    for name, types in {**question.fields, time_fields()[question.view]: {"date"}}.items():
        assert mapped.get(name) in types, name


def mapped_fields(body: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """{field: its type} of a mapping."""
    found: dict[str, str] = {}
    for name, field in body["properties"].items():
        found[prefix + name] = field.get("type", "object")
        if "properties" in field:
            found |= mapped_fields(field, f"{prefix}{name}.")
    return found


def test_the_dashboard_shows_every_panel_once_without_overlap() -> None:
    (board,) = of_kind("dashboard")
    panels = json.loads(board["attributes"]["panelsJSON"])
    shown = {(panel["type"], panel["panelIndex"]) for panel in panels}
    assert shown == {(e["type"], e["id"]) for e in [*of_kind("visualization"), *of_kind("map")]}
    references = {each["name"] for each in board["references"]}
    assert {f"{each['panelIndex']}:{each['panelRefName']}" for each in panels} == references
    for one, other in combinations([each["gridData"] for each in panels], 2):
        assert not cells(one) & cells(other)
    assert all(x < GRID_COLUMNS for panel in panels for x, _ in cells(panel["gridData"]))


def cells(grid: dict[str, int]) -> set[tuple[int, int]]:
    columns = range(grid["x"], grid["x"] + grid["w"])
    return {(x, y) for x in columns for y in range(grid["y"], grid["y"] + grid["h"])}


def test_every_panel_says_how_to_read_it() -> None:
    for each in [*of_kind("visualization"), *of_kind("map"), *of_kind("dashboard")]:
        assert each["attributes"]["description"].endswith(".")


@pytest.mark.stack
@pytest.mark.parametrize("question", QUESTIONS, ids=title_of)
def test_every_field_is_there_with_a_type_that_its_use_takes(
    place: tuple[Elasticsearch, str], question: Question
) -> None:
    client, prefix = place
    fields = {**question.fields, time_fields()[question.view]: {"date"}}
    index = pattern(prefix, question.view)
    found = client.field_caps(index=index, fields=[*fields])["fields"]
    for name, types in fields.items():
        (kind,) = found.get(name, {"missing": {}})
        assert kind in types, name
        assert found[name][kind]["aggregatable"], name


@pytest.mark.stack
@pytest.mark.parametrize("question", QUESTIONS, ids=title_of)
def test_every_question_has_an_answer(place: tuple[Elasticsearch, str], question: Question) -> None:
    client, prefix = place
    said = client.search(index=pattern(prefix, question.view), **question.body)
    assert said["hits"]["total"]["value"] > 0
    for aggregation in said.get("aggregations", {}).values():
        assert all_have_values(aggregation)


def all_have_values(aggregation: dict[str, Any]) -> bool:
    """Return True if there is a bucket, and all requested values in each."""
    if "buckets" in aggregation:
        parts = [part for bucket in aggregation["buckets"] for part in bucket.values()]
        answers = [part for part in parts if isinstance(part, dict)]
        return bool(parts) and all(map(all_have_values, answers))
    values = aggregation.get("values") or {"value": aggregation["value"]}
    return all(value is not None for value in values.values())


@pytest.mark.stack
def test_the_answers_are_right(place: tuple[Elasticsearch, str]) -> None:
    lanes = counted(place, "ordertide-lanes")
    assert lanes == {"overdue": 2, "normal": 2}
    assert counted(place, "ordertide-overdue-by-carrier") == {"sf": 1, "no carrier": 1}
    assert counted(place, "ordertide-open-alerts").keys() >= {"late_delivery"}
    (taken,) = buckets(place, "ordertide-delivery-time-by-lane")
    assert taken["key"] == "normal"
    assert taken["2"]["values"] == {"50.0": 120.0, "90.0": 120.0}
    assert sum(counted(place, "ordertide-orders-changed").values()) == 4
    assert sum(counted(place, "ordertide-events-by-source").values()) == len(HAPPENED)
    rejected = counted(place, "ordertide-rejected")
    assert sum(rejected.values()) == len(LETTERS)
    assert counted(place, "ordertide-rejected-by-source") == {"shop": 1, "unknown": 1}
    (late,) = buckets(place, "ordertide-hours-late")
    assert (late["key"], late["2"]["values"]) == ("jd", {"50.0": -48.0, "90.0": -48.0})
    (stages,) = buckets(place, "ordertide-stages")
    assert (stages["2"]["value"], stages["3"]["value"]) == (48.0, 72.0)
    assert [each["key_as_string"] for each in buckets(place, "ordertide-promises")] == ["true"]
    assert sum(counted(place, "ordertide-late-now").values()) == 3, "all but the delivered one"
    assert counted(place, "ordertide-commands") == {"u-5": 2}
    assert sum(counted(place, "ordertide-audit-entries").values()) == len(COMMANDED)
    assert sum(counted(place, "ordertide-actions-by-kind").values()) == 1
    tiles = buckets(place, "ordertide-parcels")
    assert sum(tile["doc_count"] for tile in tiles) == 2


def counted(place: tuple[Elasticsearch, str], panel: str) -> dict[str, int]:
    return {str(each["key"]): each["doc_count"] for each in buckets(place, panel)}


def buckets(place: tuple[Elasticsearch, str], panel: str) -> list[dict[str, Any]]:
    """The outermost buckets of a panel's first question."""
    client, prefix = place
    question = next(each for each in QUESTIONS if each.panel == panel)
    said = client.search(index=pattern(prefix, question.view), **question.body)
    (aggregation,) = said["aggregations"].values()
    found: list[dict[str, Any]] = aggregation["buckets"]
    return found
