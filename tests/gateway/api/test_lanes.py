"""The lanes of the live orders, as each role sees them."""

import pytest

from schemas.instants import HOUR_MS
from tests.support.alerts import alert, order
from tests.support.gateway import Door
from tests.support.tiers.orders import START, document


@pytest.fixture
def filled(door: Door) -> Door:
    """Six orders: two overdue ones, of sf and of sto; one warning; three in time."""
    late = alert(order_id="SO-1", opened_at=START + HOUR_MS)
    later = alert(order_id="SO-2", opened_at=START + 2 * HOUR_MS, rule="silent")
    soon = alert(order_id="SO-3", severity="warning")
    door.put(
        order("SO-1", 1, late, carrier="sf"),
        order("SO-2", 1, later, carrier="sto"),
        order("SO-3", 1, soon),
        *(document(f"o{number}", carrier="sf") for number in range(2)),
        document("other", tenant="acme"),
    )
    door.start()
    return door


def test_the_counts_are_by_lane_stage_and_status(filled: Door) -> None:
    found = filled.client().get("/v1/lanes").json
    assert found["orders"] == 6
    assert found["lanes"]["overdue"] == {
        "orders": 2,
        "stages": {"0": 2},
        "statuses": {"PAID": 2},
    }
    assert {name: lane["orders"] for name, lane in found["lanes"].items()} == {
        "normal": 3,
        "warning": 1,
        "overdue": 2,
    }


def test_a_lane_begins_with_the_card_that_is_due_first_and_says_why(filled: Door) -> None:
    client = filled.client()
    first = client.get("/v1/lanes/overdue?limit=1").json
    assert [card["order_id"] for card in first["cards"]] == ["SO-1"]
    assert first["cards"][0]["alerts"][0]["summary"].startswith("Late shipping: order SO-1")
    assert first["next"] == 1
    rest = client.get("/v1/lanes/overdue?skip=1").json
    assert [card["order_id"] for card in rest["cards"]] == ["SO-2"]
    assert rest["next"] is None


@pytest.mark.parametrize(
    ("query", "expected"),
    [("carrier=sf", ["SO-1"]), ("rule=silent", ["SO-2"]), ("status=SHIPPED", [])],
)
def test_a_lane_is_filtered(filled: Door, query: str, expected: list[str]) -> None:
    found = filled.client().get(f"/v1/lanes/overdue?{query}").json
    assert [card["order_id"] for card in found["cards"]] == expected


def test_the_normal_lane_comes_from_the_tier_that_searches(filled: Door) -> None:
    found = filled.client().get("/v1/lanes/normal?carrier=sf").json
    assert {card["order_id"] for card in found["cards"]} == {"o0", "o1"}
    assert found["cards"][0]["due_at"] is None


def test_a_party_and_a_tenant_see_their_own_alone(filled: Door) -> None:
    carrier = filled.client("carrier", "default", "sf")
    lanes = carrier.get("/v1/lanes").json["lanes"]
    assert (lanes["overdue"]["orders"], lanes["normal"]["orders"]) == (1, 2)
    cards = carrier.get("/v1/lanes/overdue").json["cards"]
    assert [card["order_id"] for card in cards] == ["SO-1"]
    assert carrier.get("/v1/lanes/normal?carrier=sto").json["cards"] == []
    neighbour = filled.client("operator", "acme")
    assert neighbour.get("/v1/lanes").json["orders"] == 1
    assert neighbour.get("/v1/lanes/overdue").json["cards"] == []


@pytest.mark.parametrize(
    ("url", "field", "part"),
    [
        ("/v1/lanes/late", "lane", "normal, warning, overdue"),
        ("/v1/lanes/overdue?carier=sf", "carier", "did you mean carrier?"),
        ("/v1/lanes/overdue?limit=999", "limit", "more than 200"),
        ("/v1/lanes/overdue?limit=1&limit=2", "limit", "given twice"),
        ("/v1/lanes/%ff", "lane", "UTF-8"),
    ],
)
def test_what_cannot_be_used_is_named(filled: Door, url: str, field: str, part: str) -> None:
    answer = filled.client().get(url)
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json["code"], answer.json["field"]) == ("bad_field", field)
    assert part in answer.json["detail"]


def test_until_the_view_is_loaded_the_answer_is_to_retry(door: Door) -> None:
    answer = door.client().get("/v1/lanes")
    assert answer.status == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.json["code"] == "tier_unreachable"
