"""Kuaidi100: the facts of its two real pushes, and the phrases of carriers without codes."""

import json
from datetime import timedelta
from itertools import pairwise
from urllib.parse import urlencode

import msgspec
import pytest

from dataflows.carriers.kuaidi100 import STATUSES, Kuaidi100, Kuaidi100Config
from dataflows.carriers.wording import shipped_patterns
from dataflows.definition_files import read_lifecycle
from schemas.errors import Rejected
from schemas.event import Event
from tests.support.carrier_samples import PAYLOADS, kuaidi100_push

STO = PAYLOADS / "kuaidi100" / "push_sto_70h_gap_same_second_events.json"
JD = PAYLOADS / "kuaidi100" / "push_jd_resultv2_advanced_states.json"


@pytest.fixture
def carrier() -> Kuaidi100:
    return Kuaidi100(Kuaidi100Config(salt="salt"))


def pushed(carrier: Kuaidi100, param: str) -> list[Event]:
    """The events of a push, oldest first."""
    events = carrier.events(kuaidi100_push(param, "salt")[1])
    return [msgspec.convert(event, Event) for event in reversed(events)]


def test_the_sto_history_is_read_from_its_words(carrier: Kuaidi100) -> None:
    events = pushed(carrier, STO.read_text("utf-8"))
    assert [event.status_code for event in events] == [
        "COLLECTED",
        "SCAN",  # 装袋 in the same second as
        "IN_TRANSIT",  # its departure
        "IN_TRANSIT",
        "IN_TRANSIT",
        "IN_TRANSIT",
        "OUT_FOR_DELIVERY",
        "SCAN",  # 疑难件: an unspecified problem
        "OUT_FOR_DELIVERY",
        "DELIVERED",
    ]
    assert {(event.source, event.carrier, event.waybill) for event in events} == {
        ("carrier:kuaidi100", "sto", "227213779832")
    }


def test_the_longest_silence_of_the_sto_parcel_is_over_70_hours(carrier: Kuaidi100) -> None:
    times = [event.timestamp for event in pushed(carrier, STO.read_text("utf-8"))]
    silence, since = max((later - earlier, earlier) for earlier, later in pairwise(times))
    assert silence == timedelta(hours=70, minutes=2, seconds=53)
    assert since.isoformat() == "2015-12-31T15:59:05+00:00"
    assert sum(later == earlier for earlier, later in pairwise(times)) == 1


def test_a_parcel_in_a_locker_is_not_yet_signed_for(carrier: Kuaidi100) -> None:
    newest = pushed(carrier, JD.read_text("utf-8"))[-1]
    assert newest.status_code == "READY_FOR_PICKUP"


def test_a_code_goes_before_the_words_beside_it(carrier: Kuaidi100) -> None:
    out_for_delivery_in_words = pushed(carrier, JD.read_text("utf-8"))[-2]
    assert out_for_delivery_in_words.status_code == "IN_TRANSIT"


def test_a_district_is_converted_to_wgs_84_and_marked(carrier: Kuaidi100) -> None:
    place = pushed(carrier, JD.read_text("utf-8"))[0].location
    assert place is not None
    assert (place.name, place.datum) == ("陕西,西安市,灞桥区", "GCJ02")
    assert (place.lat, place.lon) == (34.274687, 109.059572)


@pytest.mark.parametrize(
    "center", ["109.06", "x,y", "nan,34.2", "inf,34.2", "109,34,1", "9,91", "0", "400,10"]
)
def test_a_center_that_is_no_point_costs_only_itself(carrier: Kuaidi100, center: str) -> None:
    data = json.loads(JD.read_text("utf-8"))
    whole = carrier.events(kuaidi100_push(json.dumps(data), "salt")[1])
    data["lastResult"]["data"][3]["areaCenter"] = center
    contents = carrier.contents(kuaidi100_push(json.dumps(data), "salt")[1])
    whole[3]["location"] = {"name": "陕西,西安市,灞桥区"}
    assert contents.events == whole
    (noted,) = contents.unreadable
    assert (noted.place, noted.is_lost) == ("lastResult.data[3]", False)
    assert noted.error.reason.startswith("areaCenter: ")


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("快件已签收,签收人: 本人", "DELIVERED"),
        ("您的快件正在派送中，请您准备签收", "OUT_FOR_DELIVERY"),
        ("【上海】的派件员 正在派件", "OUT_FOR_DELIVERY"),
        ("快件已由菜鸟驿站代收，请凭取件码领取", "READY_FOR_PICKUP"),
        ("快件已由丰巢柜代收", "READY_FOR_PICKUP"),
        ("收件人拒收，派件员带回", "DELIVERY_FAILED"),
        ("快件已退回，寄件人已签收", "RETURN_TO_SENDER"),
        ("【杭州】已揽收", "COLLECTED"),
        ("正在联系收件人", "SCAN"),
        ("您的快件尚未签收", "SCAN"),
        ("", "SCAN"),
    ],
)
def test_a_node_without_a_code_is_read_from_its_words(
    carrier: Kuaidi100, text: str, status: str
) -> None:
    assert carrier.status_of(None, text) == status
    assert carrier.status_of("", text) == status


def test_a_phrase_of_the_settings_goes_before_the_built_in_ones() -> None:
    config = Kuaidi100Config(salt="salt", phrases={"物业已签收": "READY_FOR_PICKUP"})
    assert Kuaidi100(config).status_of(None, "物业已签收") == "READY_FOR_PICKUP"


def test_the_tables_name_only_statuses_of_the_lifecycle() -> None:
    named = {*STATUSES.values(), *(pattern.status for pattern in shipped_patterns())}
    assert named <= set(read_lifecycle().codes)


def test_a_push_without_a_history_gives_no_events(carrier: Kuaidi100) -> None:
    assert pushed(carrier, '{"status":"abort","message":"3天查询无记录","lastResult":null}') == []
    assert pushed(carrier, '{"lastResult":{"nu":"1","com":"jd","data":null}}') == []


@pytest.mark.parametrize(
    "push",
    ['{"":"","":""}', "{}", '{"lastResult":null}', '{"status":""}', '{"status":"delivered"}'],
)
def test_an_object_that_is_no_push_is_rejected(carrier: Kuaidi100, push: str) -> None:
    with pytest.raises(Rejected, match=r"^invalid_event: lastResult: missing"):
        pushed(carrier, push)


def test_the_history_abroad_counts_as_well(carrier: Kuaidi100) -> None:
    history = json.loads(JD.read_text("utf-8"))["lastResult"]
    events = pushed(carrier, json.dumps({"destResult": history | {"com": "fedex"}}))
    assert {event.carrier for event in events} == {"fedex"}
    assert {event.waybill for event in events} == {history["nu"]}
    assert len(events) == 5


def test_a_form_without_param_is_rejected(carrier: Kuaidi100) -> None:
    with pytest.raises(Rejected, match=r"^invalid_event: the form has no field param"):
        carrier.events(urlencode({"sign": "x"}).encode())


def test_a_form_that_is_not_utf8_is_rejected(carrier: Kuaidi100) -> None:
    with pytest.raises(Rejected, match=r"^invalid_utf8: "):
        carrier.events(b"param=%ff")


def test_a_form_with_very_many_fields_is_rejected(carrier: Kuaidi100) -> None:
    with pytest.raises(Rejected, match=r"^invalid_event: the form: "):
        carrier.events(b"&".join(b"a=1" for _ in range(10_000)))
