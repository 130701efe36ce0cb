"""Pushes as they really come: words only, second numbers, corrected carriers, odd nodes, forms."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from dataflows.carriers.carrier import Carrier, PushContents
from dataflows.carriers.installed import open_carrier
from schemas.errors import Rejected
from schemas.keys import event_hash
from tests.support.carrier_samples import PAYLOADS, kuaidi100_push

Json = dict[str, Any]
YUNDA = PAYLOADS / "kuaidi100" / "push_yunda_2017_words_only.json"
ODD = PAYLOADS / "odd"
ABROAD = ODD / "kuaidi100_abroad_second_number.json"


@pytest.fixture
def kuaidi100() -> Carrier:
    return open_carrier("kuaidi100", {"salt": "s"})


@pytest.fixture
def sf() -> Carrier:
    return open_carrier("sf", {"token": "a-long-random-token"})


def pushed(carrier: Carrier, param: str | Json) -> PushContents:
    text = param if isinstance(param, str) else json.dumps(param, ensure_ascii=False)
    return carrier.contents(kuaidi100_push(text, "s")[1])


def parcel(*nodes: Json, **fields: object) -> Json:
    return {"lastResult": {"nu": "N1", "com": "sto", "state": "0", "data": [*nodes]} | fields}


def node(text: object, day: int = 1, **fields: object) -> Json:
    time = f"2024-03-{day:02} 10:00:00"
    return {"time": time, "ftime": time, "context": text} | fields


def statuses(contents: PushContents) -> list[str]:
    return [event["status_code"] for event in contents.events]


def test_a_yunda_push_without_codes_is_read_from_its_words(kuaidi100: Carrier) -> None:
    contents = pushed(kuaidi100, YUNDA.read_text("utf-8"))
    first: Json = {}
    for event in reversed(contents.events):
        first.setdefault(event["status_code"], event["timestamp"])
    assert first == {
        "COLLECTED": "2017-08-05T05:51:04+00:00",
        "IN_TRANSIT": "2017-08-05T07:21:46+00:00",
        "OUT_FOR_DELIVERY": "2017-08-07T00:40:07+00:00",
        "DELIVERED": "2017-08-07T04:44:56+00:00",
    }
    assert contents.unmapped == frozenset()


def test_scans_under_a_second_number_abroad_are_scans_of_our_parcel(kuaidi100: Carrier) -> None:
    contents = pushed(kuaidi100, ABROAD.read_text("utf-8"))
    assert statuses(contents) == ["IN_TRANSIT", "IN_TRANSIT", "DELIVERED"]
    assert {event["waybill"] for event in contents.events} == {"V000000001"}
    signed = contents.events[-1]
    assert (signed["carrier"], signed["raw_status"]) == ("speedpost", "签收")
    assert signed["references"] == {"waybill_abroad": "EX000000001SG"}
    assert "references" not in contents.events[0]


@pytest.mark.parametrize("second", ["", None, "V000000001"])
def test_a_history_abroad_without_a_number_of_its_own_is_our_parcels(
    kuaidi100: Carrier, second: str | None
) -> None:
    push = json.loads(ABROAD.read_text("utf-8"))
    push["destResult"]["nu"] = second
    signed = pushed(kuaidi100, push).events[-1]
    assert (signed["waybill"], signed["status_code"]) == ("V000000001", "DELIVERED")
    assert "references" not in signed


def test_a_scan_counts_once_when_the_aggregator_corrects_the_carrier(kuaidi100: Carrier) -> None:
    before, after = (
        pushed(kuaidi100, (ODD / f"kuaidi100_carrier_corrected_{number}.json").read_text("utf-8"))
        for number in (1, 2)
    )
    every = [*before.events, *after.events]
    assert {event["carrier"] for event in every} == {"yto", "ems"}
    scans = {event_hash(event["source"], event["event_id"]): event for event in every}
    assert sorted(event["status_code"] for event in scans.values()) == ["COLLECTED", "DELIVERED"]


def test_a_name_of_a_carrier_and_its_alias_give_the_same_events(kuaidi100: Carrier) -> None:
    one, other = (
        pushed(kuaidi100, parcel(node("已签收"), com=com)).events for com in ("shunfeng", "sf")
    )
    assert one == other
    assert one[0]["carrier"] == "sf"


def test_a_node_without_text_is_noted_and_the_others_count(kuaidi100: Carrier) -> None:
    contents = pushed(kuaidi100, (ODD / "kuaidi100_null_text.json").read_text("utf-8"))
    assert statuses(contents) == ["DELIVERED", "COLLECTED"]
    (noted,) = contents.unreadable
    assert (noted.place, noted.is_lost) == ("lastResult.data[1]", True)
    assert noted.error.reason == "context: is no text, and there is no code"


@pytest.mark.parametrize(
    "odd",
    [
        node(None), node(7.5, time=None, ftime=None), node("x", time="", ftime=""),
        node("x", time="0000-00-00 00:00:00", ftime="0000-00-00 00:00:00"),
        node("x", time="2024-03-02", ftime="2024-03-02"), node({"a": 1}), None, "x", 3,
        node("x" * 3, time="2101-01-01 00:00:00", ftime=None),
    ],
)  # fmt: skip
def test_any_odd_node_costs_only_itself(kuaidi100: Carrier, odd: object) -> None:
    good = [node("已签收", 3), node("已揽收", 1)]
    whole = pushed(kuaidi100, parcel(*good))
    push = parcel(*good)
    push["lastResult"]["data"].insert(1, odd)
    contents = pushed(kuaidi100, push)
    assert contents.events == whole.events
    assert len(contents.unreadable) == 1


def test_an_odd_second_history_costs_only_itself(kuaidi100: Carrier) -> None:
    push = parcel(node("已揽收")) | {"destResult": {"nu": "X", "com": None, "data": [node(None)]}}
    contents = pushed(kuaidi100, push)
    assert statuses(contents) == ["COLLECTED"]
    assert [one.place for one in contents.unreadable] == ["destResult.data[0]"]


def test_a_center_that_is_zero_costs_only_the_place(kuaidi100: Carrier) -> None:
    contents = pushed(kuaidi100, parcel(node("已签收", areaCenter="0", areaName="上海")))
    assert contents.events[0]["location"] == {"name": "上海"}
    assert [one.is_lost for one in contents.unreadable] == [False]


@pytest.mark.parametrize(
    ("time", "ftime"), [("2024-03-01 10:00:00", "0000-00-00"), ("", "2024-3-1 10:00:00")]
)
def test_of_two_times_the_readable_one_counts(kuaidi100: Carrier, time: str, ftime: str) -> None:
    contents = pushed(kuaidi100, parcel(node("已签收", time=time, ftime=ftime)))
    assert contents.events[0]["timestamp"] == "2024-03-01T02:00:00+00:00"


@pytest.mark.parametrize(
    ("text", "state_text", "status"),
    [
        ("某处", "签收", "DELIVERED"), ("某处", "揽收", "COLLECTED"),
        ("某处", "派件", "OUT_FOR_DELIVERY"),
        ("某处", "退回", "RETURN_TO_SENDER"), ("某处", "退签", "RETURNED"),
        ("某处", "在途", "IN_TRANSIT"),
        ("某处", "投柜或驿站", "READY_FOR_PICKUP"), ("某处", "派送中", "OUT_FOR_DELIVERY"),
        ("某处", "Delivered", "DELIVERED"), (None, "签收", "DELIVERED"), ("", "签收", "DELIVERED"),
        ("快件已由菜鸟驿站代收", "签收", "READY_FOR_PICKUP"), ("某处", "疑难", "SCAN"),
    ],
)  # fmt: skip
def test_a_nodes_own_status_text_counts_where_its_words_name_nothing(
    kuaidi100: Carrier, text: str | None, state_text: str, status: str
) -> None:
    contents = pushed(kuaidi100, parcel(node(text, status=state_text)))
    assert statuses(contents) == [status]
    assert contents.events[0]["raw_status"] == state_text
    assert contents.unmapped == frozenset()


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("3", "DELIVERED"), (3, "DELIVERED"), ("301", "DELIVERED"), ("304", "READY_FOR_PICKUP"),
        ("4", "RETURNED"), ("5", "OUT_FOR_DELIVERY"), ("6", "RETURN_TO_SENDER"),
        ("14", "DELIVERY_FAILED"), ("1", "COLLECTED"), ("签收", "DELIVERED"),
        ("0", "SCAN"), ("2", "SCAN"), ("", "SCAN"), (None, "SCAN"), ("99", "SCAN"),
    ],
)  # fmt: skip
def test_the_parcels_state_counts_for_the_newest_node_that_names_nothing(
    kuaidi100: Carrier, state: object, status: str
) -> None:
    contents = pushed(kuaidi100, parcel(node("某处", 3), node("某处", 2), state=state))
    assert statuses(contents) == [status, "SCAN"]


def test_a_state_never_outweighs_the_words_or_the_code_of_the_newest_node(
    kuaidi100: Carrier,
) -> None:
    assert statuses(pushed(kuaidi100, parcel(node("已揽收"), state="3"))) == ["COLLECTED"]
    odd_code = parcel(node("某处", statusCode="777"), state="3")
    assert statuses(pushed(kuaidi100, odd_code)) == ["SCAN"]


def test_a_scan_and_what_the_state_says_of_it_are_two_events(kuaidi100: Carrier) -> None:
    before = pushed(kuaidi100, parcel(node("某处"), state="0")).events[0]
    after = pushed(kuaidi100, parcel(node("某处"), state="3")).events[0]
    assert before["timestamp"] == after["timestamp"]
    assert before["event_id"] != after["event_id"]


def test_a_push_may_be_the_form_or_what_its_param_holds(kuaidi100: Carrier) -> None:
    text = YUNDA.read_text("utf-8")
    assert kuaidi100.contents(text.encode()) == pushed(kuaidi100, text)


SF_FORM = (ODD / "sf_form_with_xml.txt").read_bytes()
SF_NODE = {
    "mailno": "SF1", "acceptAddress": "A", "orderid": "o", "acceptTime": "2024-03-03 10:00:00",
    "remark": "x", "opCode": "80", "id": "1",
}  # fmt: skip


def sf_form(xml: str) -> bytes:
    return urlencode({"content": xml}).encode()


def test_an_sf_form_with_xml_gives_the_events_of_the_same_json(sf: Carrier) -> None:
    same = json.dumps({"Body": {"WaybillRoute": [SF_NODE]}})
    assert sf.events(SF_FORM) == sf.events(same.encode()) == sf.events(sf_form(same))
    assert sf.events(SF_FORM)[0]["status_code"] == "DELIVERED"


def test_the_fields_of_an_xml_node_may_be_elements(sf: Carrier) -> None:
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in SF_NODE.items())
    xml = f"<Request><Body><WaybillRoute>{inner}</WaybillRoute></Body></Request>"
    assert sf.events(sf_form(xml)) == sf.events(xml.encode()) == sf.events(SF_FORM)


def test_one_odd_node_of_a_form_costs_only_itself(sf: Carrier) -> None:
    good = (
        SF_FORM.decode().removeprefix("content=").replace("%2F%3E%3C%2FBody", "%2F%3E{}%3C%2FBody")
    )
    odd = "%3CWaybillRoute+mailno%3D%22SF1%22+acceptTime%3D%220000-00-00%22+opCode%3D%2280%22%2F%3E"
    contents = sf.contents(f"content={good.format(odd)}".encode())
    assert contents.events == sf.events(SF_FORM)
    assert [one.place for one in contents.unreadable] == ["Body.WaybillRoute[1]"]


@pytest.mark.parametrize(
    "xml",
    ["", "x", "<Request>", "<Request/>", "<a><WaybillRoute></a>",
     '<!DOCTYPE a [<!ENTITY b "c">]><Request><Body><WaybillRoute mailno="&b;"/></Body></Request>'],
)  # fmt: skip
def test_a_form_without_nodes_is_rejected(sf: Carrier, xml: str) -> None:
    with pytest.raises(Rejected, match=r"^invalid_event: the XML"):
        sf.events(sf_form(xml))


@pytest.mark.parametrize("code", [None, "", " "])
def test_an_sf_node_without_a_code_is_read_from_its_words(sf: Carrier, code: str | None) -> None:
    body = {"Body": {"WaybillRoute": [SF_NODE | {"opCode": code, "remark": "已簽收"}]}}
    event = sf.events(json.dumps(body).encode())[0]
    assert event["status_code"] == "DELIVERED"
    assert "raw_status" not in event


def test_sf_is_answered_in_xml_where_that_is_chosen() -> None:
    carrier = open_carrier("sf", {"token": "a-long-random-token", "answer": "xml"})
    answer = carrier.acknowledge(None)
    assert answer.body == b'<Response service="RoutePushService"><Head>OK</Head></Response>'
    assert answer.headers == {"content-type": "application/xml; charset=utf-8"}
    refused = carrier.acknowledge(Rejected("x", "not ours"))
    assert (refused.status, b"<Head>ERR</Head>" in refused.body) == (400, True)
