"""Search over HTTP: by any number, by fields, and by pages whose cursors are signed."""

from pathlib import Path

import pytest

from dataflows.definition_files import read_rules
from gateway.application import application
from schemas.instants import HOUR_MS, format_instant
from storage_tiering.tier import Staleness
from tests.support.asgi import Client
from tests.support.gateway import TABLE, Door
from tests.support.tiers.orders import START, document

PARCEL = {"shipment": "SF0099-8877", "carrier": "sf"}


@pytest.fixture
def filled(door: Door) -> Door:
    door.put(
        document("SO-1", shipments=[PARCEL], customer_id="c1"),
        document("SO-2", supplier_id="s1", status="SHIPPED"),
        *(document(f"many-{n:02}", updated_at=START + n, customer_id="c2") for n in range(25)),
    )
    return door


def ids(orders: list[dict[str, str]]) -> list[str]:
    return [order["order_id"] for order in orders]


@pytest.mark.parametrize("number", ["SO-1", "so1", "sf0099 8877", "8877", "SF00"])
def test_any_number_finds_its_order(filled: Door, number: str) -> None:
    found = filled.client().get(f"/v1/lookup?number={number.replace(' ', '%20')}").json
    assert ids(found["orders"]) == ["SO-1"]
    assert found["unreachable"] == []


@pytest.mark.parametrize("url", ["/v1/lookup?number=SO-1", "/v1/orders?number=SO-1"])
def test_an_answer_comes_with_its_freshness(filled: Door, url: str) -> None:
    client = filled.client()
    assert client.get(url).json["through"] is None
    filled.tier.expire(START + 5_000)
    assert client.get(url).json["through"] == format_instant(START + 5_000)
    filled.tier.set_staleness(Staleness(reason="restored from a backup"))
    assert client.get(url).json["through"] is None


def test_at_most_twenty_are_found_and_it_says_so(filled: Door) -> None:
    found = filled.client().get("/v1/lookup?number=many").json
    assert len(found["orders"]) == 20
    assert found["has_more"]


@pytest.mark.parametrize("number", ["", "%20-", "x%00"])
def test_a_number_without_a_sign_is_refused_and_an_odd_one_is_text(
    filled: Door, number: str
) -> None:
    answer = filled.client().get(f"/v1/lookup?number={number}")
    assert answer.status == (200 if "x" in number else 400)


def test_pages_hold_every_order_once(filled: Door) -> None:
    client = filled.client()
    seen: list[str] = []
    url = "/v1/orders?limit=10&customer=c2"
    page = client.get(url).json
    while True:
        seen += ids(page["orders"])
        if page["next"] is None:
            break
        page = client.get(f"{url}&after={page['next']}").json
    assert seen == [f"many-{n:02}" for n in reversed(range(25))]


def test_a_cursor_is_good_for_its_query_and_its_caller_alone(filled: Door) -> None:
    client = filled.client()
    cursor = client.get("/v1/orders?limit=10&customer=c2").json["next"]
    for who, query in [
        (client, f"limit=10&customer=c1&after={cursor}"),
        (client, f"limit=10&customer=c2&after={cursor[:-1]}"),
        (client, "limit=10&customer=c2&after=x"),
        (client, "limit=10&customer=c2&after=é.ü".replace("é", "%C3%A9").replace("ü", "%C3%BC")),
        (filled.client("operator", "default"), f"limit=10&customer=c2&after={cursor}"),
    ]:
        answer = who.get(f"/v1/orders?{query}")
        assert (answer.status, answer.json["field"]) == (400, "after")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("status=SHIPPED", ["SO-2"]),
        ("supplier=s1", ["SO-2"]),
        ("number=8877", ["SO-1"]),
        ("updated_from=2017-10-02T10:56:33.024Z", ["many-24"]),
        ("tenant=acme", []),
        ("status=PAID&updated_to=2017-10-02T10:56:33.001Z&limit=1&sort=silent", ["SO-1"]),
        ("created_from=2017-10-03T00:00:00Z", []),
        ("promised_to=2030-01-01T00:00:00Z", []),
        ("rule=late_shipping", []),
        ("flag=history_full", []),
    ],
)
def test_fields_narrow_the_search(filled: Door, query: str, expected: list[str]) -> None:
    assert ids(filled.client().get(f"/v1/orders?{query}").json["orders"]) == expected


DECLARED = """
version = 1
rule = []
[attributes]
vip = {type = "bool"}
weight_kg = {type = "float"}
items = {type = "int"}
"gift wrap" = {type = "str"}
freezer_c = {type = "float", reading = true}
"""


@pytest.fixture
def declared(door: Door, tmp_path: Path) -> Door:
    """A gateway whose rules declare attributes, and two orders that have some."""
    (tmp_path / "rules.toml").write_text(DECLARED, "utf-8")
    rules = read_rules(tmp_path / "rules.toml", TABLE)
    door.gateway = door.gateway._replace(rules=rules)
    door.app = application(door.gateway)
    door.put(
        document("a", attributes={"vip": True, "weight_kg": 4, "gift wrap": "dark red"}),
        document("b", attributes={"vip": False, "items": 3}, updated_at=START - 1),
    )
    return door


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("attribute.vip=true", ["a"]),
        ("attribute.vip=false&attribute.items=3", ["b"]),
        ("attribute.weight_kg=4.0", ["a"]),
        ("attribute.gift%20wrap=dark+red&status=PAID", ["a"]),
        ("attribute.gift%20wrap=red", []),
    ],
)
def test_orders_are_found_by_declared_attributes(
    declared: Door, query: str, expected: list[str]
) -> None:
    client = declared.client()
    assert ids(client.get(f"/v1/orders?{query}").json["orders"]) == expected
    exported = client.get(f"/v1/orders/export?{query}").body
    assert exported.count(b"\n") == len(expected)


@pytest.mark.parametrize("name", ["vipp", "freezer_c", "x", "a.b"])
def test_an_attribute_that_is_not_declared_is_named_with_those_that_are(
    declared: Door, name: str
) -> None:
    answer = declared.client().get(f"/v1/orders?attribute.{name}=1")
    assert (answer.status, answer.json["code"]) == (422, "unknown_attribute")
    assert answer.json["field"] == f"attribute.{name}"
    assert answer.json["possible"] == ["gift wrap", "items", "vip", "weight_kg"]
    assert "declared: gift wrap, items, vip, weight_kg" in answer.json["detail"]
    assert ("did you mean vip?" in answer.json["detail"]) == (name == "vipp")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("attribute.vip=maybe", "attribute.vip"),
        ("attribute.weight_kg=nan", "attribute.weight_kg"),
        ("attribute.weight_kg=1e999", "attribute.weight_kg"),
        ("attribute.items=4.5", "attribute.items"),
        ("attribute.items=9223372036854775808", "attribute.items"),
        (f"attribute.gift%20wrap={'x' * 1025}", "attribute.gift wrap"),
        ("attribute.vip=true&attribute.vip=true", "attribute.vip"),
        ("attribute=true", "attribute"),
        ("attribute.=true", "attribute."),
        ("status.x=PAID", "status.x"),
    ],
)
def test_a_value_that_an_attribute_cannot_have_is_refused(
    declared: Door, query: str, field: str
) -> None:
    answer = declared.client().get(f"/v1/orders?{query}")
    assert (answer.status, answer.json["field"]) == (400, field), answer.body


def test_the_document_has_the_attributes_for_staff_alone(declared: Door) -> None:
    def parameters(client: Client) -> dict[str, str]:
        operation = client.get("/v1/openapi.json").json["paths"]["/v1/orders"]["get"]
        return {each["name"]: each["schema"].get("type") for each in operation["parameters"]}

    staff = parameters(declared.client("auditor"))
    assert staff.items() >= {"attribute.vip": "boolean", "attribute.items": "integer"}.items()
    supplier = declared.client("supplier", "default", "s1")
    for client in (Client(declared.app), supplier):
        assert staff.keys() - parameters(client).keys() == {
            *("attribute.vip", "attribute.items", "attribute.weight_kg", "attribute.gift wrap")
        }
    refused = supplier.get("/v1/orders?attribute.vip=true")
    assert (refused.status, refused.json["code"]) == (403, "forbidden")


def test_a_party_finds_its_own_alone(filled: Door) -> None:
    customer = filled.client("customer", "default", "c1")
    assert ids(customer.get("/v1/orders").json["orders"]) == ["SO-1"]
    assert customer.get("/v1/orders?customer=c2").json["orders"] == []
    assert customer.get("/v1/lookup?number=SO-2").json["orders"] == []
    supplier = filled.client("supplier", "default", "s1")
    assert ids(supplier.get("/v1/orders").json["orders"]) == ["SO-2"]


def test_a_time_that_is_none_is_named(filled: Door) -> None:
    answer = filled.client().get("/v1/orders?updated_from=yesterday")
    assert (answer.status, answer.json["field"]) == (400, "updated_from")


@pytest.fixture
def silent(door: Door) -> Door:
    """Orders that changed one hour apart; the stream is an hour behind the last of them."""
    door.put(*(document(f"o{n}", updated_at=START + n * HOUR_MS) for n in range(4)))
    door.gateway.follower.watermark = START + 3 * HOUR_MS
    return door


def test_silence_counts_from_the_streams_time(silent: Door) -> None:
    client = silent.client()
    url = "/v1/orders?sort=silent&silent_for="
    assert ids(client.get(f"{url}2h").json["orders"]) == ["o0", "o1"]
    assert ids(client.get(f"{url}2h1ms").json["orders"]) == ["o0"]
    narrowed = client.get(f"{url}1h&updated_to=2017-10-02T11:00:00Z").json
    assert ids(narrowed["orders"]) == ["o0"]


def test_the_pages_of_a_silence_count_from_the_first(silent: Door) -> None:
    client = silent.client()
    url = "/v1/orders?sort=silent&silent_for=2h&limit=1"
    first = client.get(url).json
    silent.gateway.follower.watermark = START + 9 * HOUR_MS
    second = client.get(f"{url}&after={first['next']}").json
    assert (ids(first["orders"]), ids(second["orders"]), second["next"]) == (["o0"], ["o1"], None)
    other = client.get(f"/v1/orders?sort=silent&silent_for=1h&limit=1&after={first['next']}")
    assert other.json["field"] == "after"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("silent_for=2", "silent_for"),
        ("silent_for=999999999999d", "silent_for"),
        ("created_from=x", "created_from"),
        ("promised_to=2017", "promised_to"),
        ("sort=name", "sort"),
        ("lane=null", "lane"),
        ("lane=", "lane"),
    ],
)
def test_a_condition_that_cannot_be_one_is_named(door: Door, query: str, field: str) -> None:
    answer = door.client().get(f"/v1/orders?{query}")
    assert (answer.status, answer.json["field"]) == (400, field)


@pytest.mark.parametrize("query", ["rule=late_shipping", "flag=history_full", "sort=due"])
def test_nobody_searches_by_what_it_does_not_see(filled: Door, query: str) -> None:
    for role, party in (("customer", "c1"), ("carrier", "sf")):
        refused = filled.client(role, "default", party).get(f"/v1/orders?{query}")  # type: ignore[arg-type]  # both are roles
        assert refused.json["code"] == "forbidden"
    supplier = filled.client("supplier", "default", "s1").get(f"/v1/orders?{query}")
    assert supplier.status == (403 if "flag" in query else 200)
