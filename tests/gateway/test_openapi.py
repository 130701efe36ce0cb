"""The OpenAPI document and docs/api.md hold what the route table has."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gateway.api_page import PAGE, main
from gateway.openapi import described_routes, openapi
from gateway.routes import ROUTES
from tests.support.asgi import Client
from tests.support.gateway import Door


def references(value: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON
    if isinstance(value, dict):
        yield from ([value["$ref"]] if "$ref" in value else [])
        value = list(value.values())
    for part in value if isinstance(value, list) else []:
        yield from references(part)


def test_the_document_has_every_route_and_every_reference_leads_somewhere() -> None:
    document = openapi(ROUTES)
    described = {
        (method.upper(), path) for path, each in document["paths"].items() for method in each
    }
    assert described == {(route.method, route.path) for route in described_routes(ROUTES)}
    schemas = document["components"]["schemas"]
    named = set(references(document))
    assert len(named) > 10
    assert {name.rpartition("/")[2] for name in named} <= schemas.keys()
    ids = [each["operationId"] for path in document["paths"].values() for each in path.values()]
    assert len(set(ids)) == len(ids)


def test_a_parameter_is_described_with_its_bounds() -> None:
    operation = openapi(ROUTES)["paths"]["/v1/lanes/{lane}"]["get"]
    parameters = {each["name"]: each for each in operation["parameters"]}
    assert parameters["lane"]["in"] == "path"
    assert parameters["limit"]["schema"]["maximum"] == 200
    assert set(operation["responses"]) >= {"200", "400", "401", "403", "429", "503"}
    assert "customer" not in operation["x-roles"]


def test_a_parameter_of_a_query_is_never_null() -> None:
    """A generator of requests would send the text `null`, which is a value like any other."""
    operation = openapi(ROUTES)["paths"]["/v1/orders"]["get"]
    schemas = {each["name"]: each["schema"] for each in operation["parameters"]}
    assert schemas["status"] == {"type": "string"}
    assert schemas["lane"] == {"enum": ["normal", "overdue", "warning"]}
    assert "null" not in str(schemas)


def test_every_status_of_an_answer_is_described() -> None:
    paths = openapi(ROUTES)["paths"]
    events = paths["/v1/events"]["post"]["responses"]
    assert {status: "application/json" in events[status]["content"] for status in events} == {
        status: status in {"200", "207", "422"} for status in events
    }
    assert "content" not in paths["/v1/orders/{id}"]["get"]["responses"]["304"]
    commands = paths["/v1/orders/{id}/commands"]["post"]["responses"]
    assert {"200", "202", "409"} <= commands.keys()


def test_a_carrier_is_answered_in_its_own_form() -> None:
    callback = openapi(ROUTES)["paths"]["/v1/carriers/{carrier}/{account}/callback"]["post"]
    assert all("*/*" in callback["responses"][status]["content"] for status in ("400", "default"))


def test_it_is_served_to_anybody(door: Door) -> None:
    served = Client(door.app).get("/v1/openapi.json")
    assert served.json["openapi"] == "3.1.0"
    assert served.json["paths"].keys() == openapi(ROUTES)["paths"].keys()


def test_the_page_is_current(tmp_path: Path) -> None:
    assert main(["--check"]) == 0, "run 'make docs'"
    copy = tmp_path / "api.md"
    assert main(["--check"], copy) == 1
    assert main([], copy) == 0
    assert copy.read_text("utf-8") == PAGE.read_text("utf-8")
