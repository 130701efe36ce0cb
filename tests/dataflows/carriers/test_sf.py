"""SF Express: ids, codes, and the nodes that can be a return or a new address."""

import json
from typing import Any

import pytest

from dataflows.carriers.sf import FORWARDING, SF, STATUSES, SFConfig
from dataflows.definition_files import read_lifecycle
from tests.support.carrier_samples import PAYLOADS

TOKEN = "a-long-random-token"
PUSH = PAYLOADS / "sf" / "RoutePushService_request.json"


@pytest.fixture
def carrier() -> SF:
    return SF(SFConfig(token=TOKEN))


def pushed(carrier: SF, *nodes: dict[str, Any]) -> list[dict[str, Any]]:
    return carrier.events(json.dumps({"Body": {"WaybillRoute": nodes}}).encode())


def node(**fields: object) -> dict[str, Any]:
    first: dict[str, Any] = json.loads(PUSH.read_bytes())["Body"]["WaybillRoute"][0]
    return first | fields


def test_two_nodes_in_the_same_second_are_two_events_and_the_older_status_ranks_first(
    carrier: SF,
) -> None:
    collected, in_transit = carrier.events(PUSH.read_bytes())
    assert collected["timestamp"] == in_transit["timestamp"] == "2020-05-11T08:56:54+00:00"
    assert collected["event_id"] != in_transit["event_id"]
    rank = read_lifecycle().index
    assert rank[collected["status_code"]] < rank[in_transit["status_code"]]


def test_a_node_keeps_sfs_id(carrier: SF) -> None:
    assert [event["event_id"] for event in carrier.events(PUSH.read_bytes())] == [
        "158918741444476",
        "158918741457126",
    ]


@pytest.mark.parametrize("absent", [None, ""])
def test_without_an_id_a_node_is_what_it_says(carrier: SF, absent: str | None) -> None:
    same = pushed(carrier, node(id=absent), node(id=absent, acceptAddress="深圳"))
    assert same[0]["event_id"] == same[1]["event_id"]
    changed = [
        node(id=absent, **{field: value})
        for field, value in [
            ("mailno", "SF1"),
            ("opCode", "30"),
            ("acceptTime", "2020-05-11 16:56:55"),
            ("remark", "另一条"),
        ]
    ]
    ids = {event["event_id"] for event in pushed(carrier, node(id=absent), *changed)}
    assert len(ids) == 5


def test_our_own_order_number_is_kept_as_a_reference(carrier: SF) -> None:
    assert pushed(carrier, node(orderid="SO-17"))[0]["references"] == {"sf_order": "SO-17"}
    assert "references" not in pushed(carrier, node(orderid=""))[0]


@pytest.mark.parametrize("code", sorted(FORWARDING))
@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("快件已退回，新单号为 SF2", "RETURN_TO_SENDER"),
        ("应客户要求,快件正在转寄中", "IN_TRANSIT"),
        ("快件已退回/转寄，新单号为 SF2", "RETURN_TO_SENDER"),
        ("", "RETURN_TO_SENDER"),
    ],
)
def test_a_forwarded_parcel_is_not_a_returned_one(
    carrier: SF, code: str, text: str, status: str
) -> None:
    assert carrier.status_of(code, text) == status


def test_the_settings_decide_even_over_the_text() -> None:
    carrier = SF(SFConfig(token=TOKEN, statuses={"99": "SCAN"}))
    assert carrier.status_of("99", "快件正在转寄中") == "SCAN"


def test_a_code_may_be_a_number(carrier: SF) -> None:
    event = pushed(carrier, node(opCode=8000, id=17))[0]
    assert (event["status_code"], event["raw_status"]) == ("DELIVERED", "8000")
    assert event["event_id"] == "17"


def test_the_table_names_only_statuses_of_the_lifecycle() -> None:
    assert set(STATUSES.values()) <= set(read_lifecycle().codes)
