"""The route table: all that is served is in it, and each role passes where it may."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.routing import Route as StarletteRoute

from broker.produce import Producer
from gateway.access.caller import EVERY_ROLE, STAFF, Role
from gateway.application import AsSent
from gateway.problems import KINDS
from gateway.route import EVERYONE, Method, Route
from gateway.routes import ROUTES
from schemas.topics import EVENTS_REJECTED, HEADER_CODE
from sinks.subscriptions.deliveries import Deliveries, NewDelivery
from tests.support.alerts import alert, order
from tests.support.asgi import Client
from tests.support.gateway import Door, open_door
from tests.support.tiers.orders import accepted
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder: Path = tmp_path_factory.mktemp("serve")
    with open_door(folder) as opened:
        opened.start()
        opened.gateway.control.start()
        wait_until(lambda: opened.gateway.control.is_loaded, "the keys are read")
        opened.gateway.hub.close()  # streams end at once; test_stream.py has what they send
        yield opened


def name_of(route: object) -> str | None:
    return f"{route.method} {route.path}" if isinstance(route, Route) else None


def test_no_route_exists_outside_the_table(door: Door) -> None:
    assert isinstance(door.app, AsSent)
    assert isinstance(door.app.app, Starlette)
    served = {
        (method, each.path)
        for each in door.app.app.routes
        if isinstance(each, StarletteRoute)
        for method in each.methods or ()
    }
    assert len(door.app.app.routes) == len(ROUTES)
    assert served - {("HEAD", path) for _, path in served} == {
        (route.method, route.path) for route in ROUTES
    }


@pytest.mark.parametrize("route", ROUTES, ids=name_of)
def test_a_row_is_whole(route: Route) -> None:
    assert route.summary.endswith(".")
    assert route.method in get_args(Method)
    assert set(route.problems) <= KINDS.keys()
    assert route.roles <= EVERY_ROLE
    if isinstance(route.asks, type):
        assert route.asks.__struct_config__.forbid_unknown_fields
    if not isinstance(route.answers, str):
        msgspec.json.schema(route.answers)


@pytest.mark.parametrize("role", sorted(EVERY_ROLE))
@pytest.mark.parametrize("route", ROUTES, ids=name_of)
def test_a_role_passes_where_the_table_lets_it(door: Door, route: Route, role: Role) -> None:
    path = route.path.replace("{", "").replace("}", "")
    answer = door.client(role, "default", "x").request(route.method, path, b"")
    assert (answer.status == 403) == (route.roles is not EVERYONE and role not in route.roles)
    nobody = Client(door.app).request(route.method, path, b"")
    if route.roles is not EVERYONE:
        assert nobody.status in {401, 303}
    assert nobody.status != 500


WEBHOOK = "wh_hidden"
MARK = 424_242  # version of the one order: whoever sees it, sees this
NEIGHBOURS: list[tuple[Role, str, str]] = [
    ("customer", "default", "c-other"),
    ("supplier", "default", "s-other"),
    ("carrier", "default", "k-other"),
    ("ingest", "default", ""),
    *((role, "acme", "") for role in sorted(STAFF)),
    ("customer", "acme", "c-own"),
    ("supplier", "acme", "s-own"),
    ("carrier", "acme", "k-own"),
]
OWNERS: list[tuple[Role, str | None, str]] = [
    ("customer", "default", "c-own"),
    ("supplier", "default", "s-own"),
    ("carrier", "default", "k-own"),
    *((role, "default", "") for role in sorted(STAFF)),
    ("admin", None, ""),
]
# What fills a route's path and query so that the order is asked for.
ASKED = {
    "/v1/lanes/{lane}": "/v1/lanes/overdue",
    "/v1/lookup": "/v1/lookup?number=HIDDEN-1",
    "/v1/rejected": "/v1/rejected",
    "/v1/orders": "/v1/orders?number=HIDDEN",
    "/v1/orders/export": "/v1/orders/export?number=HIDDEN",
    "/v1/webhooks": "/v1/webhooks",
    "/v1/webhooks/{id}": "/v1/webhooks/wh_hidden",
    "/v1/webhooks/{id}/deliveries": "/v1/webhooks/wh_hidden/deliveries",
    "/settings/webhooks/{id}": "/settings/webhooks/wh_hidden",
    "/alerts": "/alerts?tab=all",
    "/orders/{id}": "/orders/HIDDEN-1?tenant=default",
    "/orders/{id}/share": "/orders/HIDDEN-1/share?tenant=default",
    "/v1/orders/{id}/personal": "/v1/orders/HIDDEN-1/personal?tenant=default",
    "/v1/orders/{id}": "/v1/orders/HIDDEN-1?tenant=default",
    "/v1/orders/{id}/events": "/v1/orders/HIDDEN-1/events?tenant=default",
}
READING = [
    route
    for route in ROUTES
    # Keys name no order: test_keys.py has them.
    if route.method == "GET" and route.scope == "own" and route.path != "/v1/keys"
]


@pytest.fixture(scope="module")
def marked(door: Door) -> Door:
    """One overdue order, with an event; a rejected one, and one that can't be read.

    Its changes have a subscription with a delivery.
    """
    own = {"customer_id": "c-own", "supplier_id": "s-own", "carrier": "k-own"}
    late = order("HIDDEN-1", MARK, alert(order_id="HIDDEN-1"))
    door.put(msgspec.structs.replace(late, **own))
    door.put_events(accepted("HIDDEN-1", f"event-{MARK}"))
    with Producer(door.connection, linger_ms=0) as producer:
        for letter in (b'{"order_id":"HIDDEN-1","n":%d}', b"\xff unreadable %d"):
            producer.send(EVENTS_REJECTED, None, letter % MARK, [(HEADER_CODE, b"unknown_status")])
    subscription = {
        "url": f"https://shop.example/{MARK}",
        "secret": "sealed",
        "tenant": "default",
        "since_at": "2017-10-02T00:00:00.000Z",
        "active_at": "2017-10-02T00:00:00.000Z",
    }
    webhooks = door.gateway.webhooks
    webhooks.subscriptions.take(WEBHOOK, msgspec.json.encode(subscription))
    with closing(Deliveries(webhooks.deliveries)) as file, file.transaction():
        event = file.add_event(b'{"n":%d}' % MARK)
        file.add([NewDelivery("d-1", WEBHOOK, "HIDDEN-1", event, "order.changed", 1)], 1)
    return door


def url_of(route: Route) -> str:
    return ASKED.get(route.path, route.path.replace("{", "").replace("}", ""))


@pytest.mark.parametrize("neighbour", NEIGHBOURS, ids="-".join)
@pytest.mark.parametrize("route", READING, ids=name_of)
def test_every_route_by_every_role_and_neighbour(
    marked: Door, route: Route, neighbour: tuple[Role, str, str]
) -> None:
    answer = marked.client(*neighbour).get(url_of(route))
    body = answer.body.decode().replace(neighbour[2] or "-", "")
    assert not [mark for mark in (str(MARK), "c-own", "s-own", "k-own") if mark in body]
    if route.path == "/v1/lanes" and answer.status == 200:
        assert answer.json["orders"] == 0


LATE = alert(order_id="HIDDEN-1")["alert_id"]
WEBHOOK_URL = "/v1/webhooks/{id}"
# What is sent to write to the order or its alert.
WRITTEN: dict[str, object] = {
    "/v1/actions/{id}/outcome": {"order_id": "HIDDEN-1", "text": "called"},
    "/v1/alerts/{id}/ack": {},
    "/v1/alerts/{id}/snooze": {"until": "2017-10-03T00:00:00Z"},
    "/v1/alerts/{id}/assign": {"to": "Li"},
    "/v1/alerts/{id}/comment": {"text": "called"},
    "/v1/orders/{id}/personal": {"reason": "a call", "tenant": "default"},
    "/v1/orders/{id}/commands": {"status": "SHIPPED", "tenant": "default"},
    "/v1/keys/{id}": {},
    WEBHOOK_URL: {"name": "ours"},
    **{
        f"{WEBHOOK_URL}/{write}": {}
        for write in (
            *("pause", "resume", "secret/rotate", "test", "replay"),
            "deliveries/{delivery}/replay",
        )
    },
}
WRITING = [
    route for route in ROUTES if route.method != "GET" and route.part == "api" and "{" in route.path
]
BULK: list[dict[str, object]] = [
    {"action": "ack", "ids": [LATE]},
    {"action": "assign", "to": "Li", "filter": {"rule": "late_shipping"}, "count": 1},
]


def test_the_walk_has_every_write() -> None:
    assert {route.path for route in WRITING} == WRITTEN.keys()


@pytest.mark.parametrize("neighbour", NEIGHBOURS, ids="-".join)
@pytest.mark.parametrize("route", WRITING, ids=name_of)
def test_a_neighbour_writes_nothing_and_learns_nothing(
    marked: Door, route: Route, neighbour: tuple[Role, str, str]
) -> None:
    """Refusals of what is there are those of what isn't."""
    before, client = len(marked.events()), marked.client(*neighbour)
    key_id = marked.key("operator", "default").split("_")[1]
    subscription = marked.gateway.webhooks.subscriptions.records[WEBHOOK]
    named = {"alerts": LATE, "keys": key_id, "webhooks": WEBHOOK}
    hidden = named.get(route.path.split("/")[2], "HIDDEN-1")
    path = route.path.replace("{delivery}", "d-1")
    body = msgspec.json.encode(WRITTEN[route.path])
    answers = [
        client.request(route.method, path.replace("{id}", name), body)
        for name in (hidden, "MISSING")
    ]
    there, missing = (
        each.body.replace(hidden.encode(), b"MISSING").replace(
            each.headers["x-request-id"].encode(), b""
        )
        for each in answers
    )
    assert there == missing
    assert {answer.status for answer in answers} <= {400, 403, 404}
    assert len(marked.events()) == before
    assert LATE not in marked.gateway.notes.records
    assert key_id in marked.keys.records
    assert marked.gateway.webhooks.subscriptions.records[WEBHOOK] is subscription
    assert not marked.gateway.webhooks.subscriptions.requests


@pytest.mark.parametrize("neighbour", NEIGHBOURS, ids="-".join)
@pytest.mark.parametrize("body", BULK, ids=["ids", "filter"])
def test_a_neighbour_changes_no_alert_in_bulk(
    marked: Door, body: dict[str, object], neighbour: tuple[Role, str, str]
) -> None:
    answer = marked.client(*neighbour).post("/v1/alerts/bulk", body)
    assert answer.status == 403 or answer.json.get("changed", 0) == 0
    assert LATE not in marked.gateway.notes.records


@pytest.mark.parametrize("owner", OWNERS, ids=lambda who: "-".join(map(str, who)))
@pytest.mark.parametrize("path", sorted(path for path in ASKED if path.startswith("/v1")))
def test_whose_order_it_is_sees_it_on_every_route(
    marked: Door, path: str, owner: tuple[Role, str | None, str]
) -> None:
    answer = marked.client(*owner).get(ASKED[path])
    (route,) = [each for each in ROUTES if (each.method, each.path) == ("GET", path)]
    if owner[0] not in route.roles:
        assert answer.status == 403
    elif path.endswith("/events"):
        assert len(answer.json["events"]) == 1
    elif path.endswith("/personal"):
        assert answer.json["order_id"] == "HIDDEN-1"
    else:
        assert str(MARK).encode() in answer.body


def test_what_matches_no_row_is_a_problem(door: Door) -> None:
    missing = Client(door.app).get("/v1/nothing")
    assert (missing.status, missing.json["code"]) == (404, "not_found")
    wrong = Client(door.app).post("/v1/lanes")
    assert (wrong.status, wrong.json["code"]) == (405, "method_not_allowed")
    assert wrong.headers["allow"] == "GET, HEAD"
    several = Client(door.app).request("PUT", "/v1/keys", b"")
    assert several.headers["allow"] == "GET, HEAD, POST"


def test_every_answer_has_the_careful_headers(door: Door) -> None:
    for path in ("/v1/lanes", "/v1/me", "/nothing", "/v1/problems/bad_field"):
        answer = door.client().get(path)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "no-store" in answer.headers["cache-control"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert len(answer.headers["x-request-id"]) == 16


@pytest.mark.parametrize("code", sorted(KINDS))
def test_each_problem_is_explained(door: Door, code: str) -> None:
    explained = Client(door.app).get(f"/v1/problems/{code}").json
    assert explained["status"] >= 400
    assert explained["remedy"].endswith(".")


def test_requests_are_counted_by_route(door: Door) -> None:
    registry = door.gateway.metrics.registry
    labels = {"route": "/v1/me", "method": "GET", "status": "200"}
    before = registry.get_sample_value("ordertide_http_requests_total", labels) or 0
    door.client().get("/v1/me")
    assert registry.get_sample_value("ordertide_http_requests_total", labels) == before + 1
