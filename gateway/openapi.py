"""OpenAPI 3.1 of the route table: what a route asks, answers and refuses, as its row has it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

import msgspec

from gateway.asked import fields_of
from gateway.idempotency import LONGEST_KEY
from gateway.limits import RATES
from gateway.problems import KINDS, MEDIA_TYPE, ProblemDocument
from gateway.route import EVERYONE, Route
from schemas.event import Event
from schemas.search import LONGEST_VALUE, MOST_INT

Json = dict[str, Any]
REF = "#/components/schemas/{name}"
PART = re.compile(r"{(\w+)}")
# Of every route that needs a caller.
ACCESS = ("unauthenticated", "forbidden", "issuer_unreachable")
NOT_MODIFIED: Json = {"description": "the version in If-None-Match is the newest"}
ATTRIBUTES: dict[str, Json] = {
    "bool": {"type": "boolean"},
    "float": {"type": "number"},
    "int": {"type": "integer", "minimum": -MOST_INT - 1, "maximum": MOST_INT},
    "str": {"type": "string", "maxLength": LONGEST_VALUE},
}
ANY_ROUTE = ("limited", "busy", "internal")
KEY = "an API key, ot_…, or a token (JWT) of the issuer that oidc.issuer names"
IDEMPOTENCY_KEY: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "the same write again gets its first answer, for 24 hours",
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY},
}


def openapi(routes: Sequence[Route], attributes: Mapping[str, str] | None = None) -> Json:
    """The document of the routes that are no pages.

    `attributes` are those that orders can be searched by, with their types.
    """
    described = described_routes(routes)
    kinds = [each for route in described for each in (route.asks, route.answers)]
    structs = [each for each in kinds if isinstance(each, type)]
    _, components = msgspec.json.schema_components(
        [*dict.fromkeys(structs), ProblemDocument, Event], ref_template=REF
    )
    paths: dict[str, Json] = {}
    for route in described:
        paths.setdefault(route.path, {})[route.method.lower()] = operation(
            route, components, attributes or {}
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ordertide",
            "version": version("ordertide"),
            "description": "Live orders, look-ups, events and carriers' callbacks.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": {name: components[name] for name in sorted(components)},
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": KEY},
                "session": {"type": "apiKey", "in": "cookie", "name": "ordertide_session"},
            },
        },
    }


def described_routes(routes: Iterable[Route]) -> list[Route]:
    """The routes of programs, by path."""
    return sorted(
        (route for route in routes if route.part != "board"),
        key=lambda route: (route.path, route.method),
    )


def operation(route: Route, components: Json, attributes: Mapping[str, str]) -> Json:
    """One route."""
    found: Json = {
        "operationId": operation_id(route),
        "summary": route.summary,
        "tags": [route.cls],
        "parameters": [
            *path_parameters(route),
            *query_parameters(route, components, attributes),
            *([IDEMPOTENCY_KEY] if route.is_repeatable else []),
        ],
        "responses": {**answers(route), **problems(route), **own_answers(route)},
    }
    if route.roles is EVERYONE:
        found["security"] = []
    else:
        found["security"] = [{"key": []}, {"session": []}]
        found["x-roles"] = sorted(route.roles)
    found["x-rate"] = RATES[route.cls]
    if route.method == "POST":
        found["requestBody"] = {"required": True, "content": body(route)}
    return found


def operation_id(route: Route) -> str:
    """`get_orders_id_events`."""
    words = re.findall(r"[A-Za-z0-9]+", route.path.removeprefix("/v1"))
    return "_".join([route.method.lower(), *words])


def path_parameters(route: Route) -> list[Json]:
    """The parts of the path."""
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in PART.findall(route.path)
    ]


def query_parameters(route: Route, components: Json, attributes: Mapping[str, str]) -> list[Json]:
    """The fields of the struct of a route's query; a map has a parameter for each attribute."""
    if route.method != "GET" or not isinstance(route.asks, type):
        return []
    schema = components[route.asks.__name__]
    needed = schema.get("required", [])
    schemas = {
        name: given(field)
        for name, field in schema["properties"].items()
        if fields_of(route.asks)[name] != "map"
    }
    if len(schemas) < len(schema["properties"]):
        schemas |= {f"attribute.{name}": ATTRIBUTES[kind] for name, kind in attributes.items()}
    return [
        {"name": name, "in": "query", "required": name in needed, "schema": field}
        for name, field in schemas.items()
    ]


def given(field: Json) -> Json:
    """The schema of a parameter that is sent: null means that it isn't."""
    kinds = [each for each in field.get("anyOf", []) if each != {"type": "null"}]
    if not kinds:
        return field
    rest = {name: value for name, value in field.items() if name not in {"anyOf", "default"}}
    return rest | (kinds[0] if len(kinds) == 1 else {"anyOf": kinds})


def answers(route: Route) -> Json:
    """The answers of a route that are no problems, by status."""
    return {
        str(status): NOT_MODIFIED if status == HTTPStatus.NOT_MODIFIED else answer(route.answers)
        for status in route.statuses
    }


def answer(answers: type[msgspec.Struct] | str) -> Json:
    """An answer, by its struct or its media type."""
    if isinstance(answers, str):
        return {
            "description": "as described",
            "content": {each: {} for each in answers.split(", ")},
        }
    schema = {"$ref": REF.format(name=answers.__name__)}
    description = (answers.__doc__ or "").strip().splitlines()[0]
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def body(route: Route) -> Json:
    """The content of a body that the handler itself reads."""
    if isinstance(route.asks, type):
        schema = {"schema": {"$ref": REF.format(name=route.asks.__name__)}}
        return {"application/json": schema, "application/x-www-form-urlencoded": schema}
    if route.cls != "ingest":
        return {"application/json": {}, "application/x-www-form-urlencoded": {}}
    one = {"$ref": REF.format(name="Event")}
    return {
        "application/json": {"schema": {"anyOf": [one, {"type": "array", "items": one}]}},
        "application/x-ndjson": {"schema": {"type": "string"}},
    }


def codes_of(route: Route) -> list[str]:
    """Every code that a route may answer."""
    access = () if route.roles is EVERYONE else ACCESS
    repeated = ("idempotency_mismatch",) if route.is_repeatable else ()
    return list(dict.fromkeys([*route.problems, *repeated, *access, *ANY_ROUTE]))


def problems(route: Route) -> Json:
    """The refusals of a route, by status."""
    by_status: dict[str, list[str]] = {}
    for code in codes_of(route):
        by_status.setdefault(str(int(KINDS[code].status)), []).append(code)
    schema = {"$ref": REF.format(name="ProblemDocument")}
    content = {MEDIA_TYPE: {"schema": schema}, **({"*/*": {}} if route.is_callback else {})}
    return {
        status: {"description": ", ".join(codes), "content": content}
        for status, codes in sorted(by_status.items())
    }


def own_answers(route: Route) -> Json:
    """The answers of a carrier's plug-in, which words its refusals in the carrier's own form."""
    if not route.is_callback:
        return {}
    return {"default": {"description": "in the carrier's own form", "content": {"*/*": {}}}}
