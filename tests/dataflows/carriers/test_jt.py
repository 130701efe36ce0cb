"""J&T Express: both sets of codes, names without a code, and which problem a problem is."""

import json
from typing import Any, Literal
from urllib.parse import urlencode

import pytest

from dataflows.carriers.jt import JT, STATUSES, JTConfig, digest
from dataflows.definition_files import read_lifecycle
from schemas.errors import Rejected
from tests.support.carrier_samples import PAYLOADS, jt_push

SECRET = "a private key"
JT_PAYLOADS = PAYLOADS / "jt"
Codes = Literal["international", "vietnam"]


def carrier(codes: Codes = "international", **settings: Any) -> JT:  # noqa: ANN401 - any setting
    return JT(JTConfig(secret=SECRET, codes=codes, **settings))


def statuses(name: str, codes: Codes = "international") -> list[str]:
    events = carrier(codes).events((JT_PAYLOADS / name).read_bytes())
    return [event["status_code"] for event in events]


def pushed(codes: Codes = "international", **fields: object) -> dict[str, Any]:
    scan = {"scanTime": "2024-06-22 15:20:31", "desc": ""} | fields
    body = json.dumps([{"billCode": "1", "details": [scan]}]).encode()
    (event,) = carrier(codes).events(body)
    return event


def test_a_delivery_on_the_international_platform() -> None:
    assert statuses("callback_international.json") == [
        *("DELIVERED", "OUT_FOR_DELIVERY", "IN_TRANSIT", "IN_TRANSIT", "IN_TRANSIT", "COLLECTED")
    ]


def test_a_problem_is_a_failed_delivery_only_if_it_says_so() -> None:
    assert statuses("callback_problems.json") == [
        *("RETURNED", "RETURN_TO_SENDER", "DELIVERY_FAILED", "SCAN")
    ]


def test_vietnam_has_codes_of_its_own_and_pushes_the_international_ones_too() -> None:
    expected = ["COLLECTED", "IN_TRANSIT", "IN_TRANSIT", "OUT_FOR_DELIVERY", "DELIVERED"]
    assert statuses("webhook_vietnam.json", "vietnam") == expected
    unmapped = carrier().contents((JT_PAYLOADS / "webhook_vietnam.json").read_bytes()).unmapped
    assert unmapped == {1, 3, 4}


def test_110_is_a_problem_or_an_arrival_by_the_set_of_the_account() -> None:
    refused = {"scanTypeCode": 110, "problemType": "客户拒收"}
    assert pushed("international", **refused)["status_code"] == "DELIVERY_FAILED"
    assert pushed("vietnam", **refused)["status_code"] == "IN_TRANSIT"


def test_a_problem_is_refined_by_the_description_that_egypt_documents() -> None:
    refused = pushed(scanType="问题件扫描", probleDescription="客户拒收")
    assert (refused["status_code"], refused["personal"]["reason"]) == (
        "DELIVERY_FAILED",
        "客户拒收",
    )


def test_without_a_code_the_name_of_the_scan_decides_before_its_text() -> None:
    assert statuses("trace_china_names_only.json") == [
        *("DELIVERED", "DELIVERY_FAILED", "OUT_FOR_DELIVERY", "IN_TRANSIT", "COLLECTED")
    ]
    event = pushed(scanType="发件扫描", desc="快件已被签收")
    assert (event["status_code"], event["raw_status"]) == ("IN_TRANSIT", "发件扫描")


def test_the_settings_decide_even_over_a_problem() -> None:
    scan = {"scanTime": "2024-06-22 15:20:31", "scanTypeCode": "110", "problemType": "客户拒收"}
    body = json.dumps({"billCode": "1", "details": scan}).encode()
    (event,) = carrier(statuses={"110": "LOST"}).events(body)
    assert event["status_code"] == "LOST"


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("is_list", [False, True])
@pytest.mark.parametrize("has_details_list", [False, True])
def test_one_parcel_or_several_one_scan_or_several(
    *, wrapped: bool, is_list: bool, has_details_list: bool
) -> None:
    scan = {"scanTime": "2024-06-22 15:20:31", "scanTypeCode": "94"}
    parcel: object = {"billCode": "1", "details": [scan] if has_details_list else scan}
    content = [parcel] if is_list else parcel
    payload = json.dumps({"bizContent": content} if wrapped else content)
    (alone,) = carrier().events(payload.encode())
    assert (alone["waybill"], alone["status_code"]) == ("1", "OUT_FOR_DELIVERY")
    if not wrapped:
        assert carrier().events(jt_push(payload, SECRET)[1]) == [alone]


def test_a_parcel_that_cannot_be_read_costs_itself_only() -> None:
    scan = {"scanTime": "2024-06-22 15:20:31", "scanTypeCode": "94"}
    parcels = [{"billCode": "1"}, 7, {"billCode": "2", "details": [scan]}]
    contents = carrier().contents(json.dumps(parcels).encode())
    assert [event["waybill"] for event in contents.events] == ["2"]
    assert [one.place for one in contents.unreadable] == ["[0]", "[1]"]


@pytest.mark.parametrize("content", ["[]", '{"bizContent": []}'])
def test_a_push_without_a_parcel_is_rejected(content: str) -> None:
    with pytest.raises(Rejected, match="names no parcel"):
        carrier().events(content.encode())


def test_the_digest_is_the_base64_of_the_hash_itself() -> None:
    """By openssl: printf '%s' '{"a":1}key' | openssl md5 -binary | base64."""
    assert digest('{"a":1}', "key") == "hrsn4fqht6ocHDQJAe+yqw=="


def test_the_form_is_signed_as_it_was_sent_whatever_its_spaces() -> None:
    content = '{ "billCode" : "1",  "details":[ ] }'
    headers, body = jt_push(content, SECRET)
    carrier().verify(headers, body)
    same = urlencode({"bizContent": json.dumps(json.loads(content))}).encode()
    with pytest.raises(Rejected, match="bad_signature"):
        carrier().verify(headers, same)


def test_our_own_order_number_is_kept_as_a_reference() -> None:
    event = carrier().events((JT_PAYLOADS / "callback_international.json").read_bytes())[0]
    assert event["references"] == {"jt_order": "SO-1001"}
    assert event["location"] == {"name": "KLG101, Kluang"}


def test_the_tables_name_only_statuses_of_the_lifecycle() -> None:
    codes = set(read_lifecycle().codes)
    assert all(set(table.values()) <= codes for table in STATUSES.values())
