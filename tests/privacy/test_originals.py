"""Rejected originals: whatever they are, no personal data is readable in what is kept of them."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.keys import KeyErased, MemoryKeyStore, subject_of
from privacy.originals import open_rejected, seal_rejected
from privacy.seal import open_event, seal_event
from schemas.errors import StateError
from schemas.event import Event, decode_event, read_event
from schemas.keys import SEPARATOR

ADA = {"name": "Ada Lovelace"}
INNER = b'{"customer_id": "ada", "personal": {"name": "Ada Lovelace"}}'

WHOLE = {
    "cut off": INNER[:-1],
    "not JSON": b"personal data of Ada Lovelace",
    "NaN": INNER[:-1] + b', "lat": NaN}',
    "broken UTF-8": INNER.replace(b"ada", b"\xff"),
    "UTF-16": INNER.decode().encode("utf-16"),
    "escaped": INNER[:-1].replace(b"personal", b"p\\u0065rson\\u0061l"),
    "nested too deeply": b"[" * 100_000 + INNER + b"]" * 100_000,
    "nested deeply": b'{"a":' * 50 + INNER + b"}" * 50,
    "in a text": json.dumps({"data": INNER.decode()}).encode(),
    "in base64": b'{"data_base64": "eyJwZXJzb25hbCI6IHsibmFtZSI6ICJBZGEgTG92ZWxhY2UifX0="}',
    "out of range": INNER.replace(b'"Ada Lovelace"', b'"Ada Lovelace", "age": 1e400'),
    "a form": b"param=%7B%22personal%22:%22Ada Lovelace",
}
IN_PLACE = {
    "an object": INNER,
    "a CloudEvent": b'{"specversion": "1.0", "data": %s}' % INNER,
    "a list": b"[%s, %s]" % (INNER, INNER),
    "a text for an object": INNER.replace(b'{"name": "Ada Lovelace"}', b'"Ada Lovelace"'),
    "a list for an object": INNER.replace(b'{"name": "Ada Lovelace"}', b'["Ada Lovelace"]'),
    "capitals": INNER.replace(b"personal", b"Personal"),
    "escapes": INNER.replace(b"personal", b"p\\u0065rson\\u0061l"),
    "a number for an id": INNER.replace(b'"ada"', b"17"),
    "twice": INNER[:-1] + b', "personal": null}',
    "deep": b'{"a": [{"b": %s}]}' % INNER,
}
UNNAMED = {"not JSON", "broken UTF-8", "a form", "a number for an id", "in base64", "twice"}
READABLE = [b"Lovelace", b"L\0o\0v\0e", b"eyJwZXJzb25hbCI6"]  # too long to come up by chance


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)
def test_what_cannot_be_read_is_sealed_whole_and_comes_back_whole(data: bytes) -> None:
    keystore = MemoryKeyStore()
    sealed = seal_rejected(data, keystore)
    assert set(json.loads(sealed)) == {"sealed_original", "key"}
    assert not any(word in sealed for word in READABLE)
    assert open_rejected(sealed, keystore) == data


@pytest.mark.parametrize("data", IN_PLACE.values(), ids=IN_PLACE)
def test_what_can_be_read_is_sealed_where_it_stands(data: bytes) -> None:
    keystore = MemoryKeyStore()
    sealed = seal_rejected(data, keystore)
    assert b"sealed_original" not in sealed
    assert not any(word in sealed for word in READABLE)
    assert json.loads(open_rejected(sealed, keystore)) == json.loads(data)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"\xff\xfe", b'{"order_id": "o-1",   "x": 1}', b"null", b"[1, 2", b"17"]
)
def test_without_personal_data_an_original_stays_as_it_came(data: bytes) -> None:
    assert seal_rejected(data, MemoryKeyStore()) == data


def test_it_is_sealed_under_the_key_of_the_customer_it_stands_with() -> None:
    keystore = MemoryKeyStore()
    data = b'{"tenant": "t", "order_id": "o", "data": {"customer_id": 17, "personal": {"a": 1}}}'
    sealed = seal_rejected(data, keystore)
    key_id = json.loads(sealed)["data"]["personal"]["key"]
    assert key_id == keystore.key_for("t", "17").key_id
    assert json.loads(open_rejected(sealed, keystore)) == json.loads(data)


def test_without_a_customer_it_is_sealed_under_the_orders_key() -> None:
    keystore = MemoryKeyStore()
    sealed = json.loads(seal_rejected(b'{"order_id": "o", "personal": {"a": 1}}', keystore))
    order = keystore.key_for("default", subject_of(order_id="o"))
    assert sealed["personal"]["key"] == order.key_id


def test_the_same_original_is_sealed_to_the_same_bytes() -> None:
    keystore = MemoryKeyStore()
    for data in (INNER, INNER[:-1]):
        assert seal_rejected(data, keystore) == seal_rejected(data, keystore)


def test_a_sealed_event_that_is_rejected_stays_sealed_once() -> None:
    keystore = MemoryKeyStore()
    once = seal_rejected(INNER, keystore)
    assert seal_rejected(once, keystore) == once
    whole = seal_rejected(INNER[:-1], keystore)
    assert seal_rejected(whole, keystore) == whole


BARE = b'{"order_id": "o-1", "personal": {"name": "Ada Lovelace"}}'
SCAN = b'{"waybill": "SF1", "personal": {"name": "Ada Lovelace"}}'
LINKED = b'{"order_id": "o-1", "waybill": "SF1", "customer_id": "ada", "personal": {"a": 1}}'
REFERENCE = b'{"references": {"erp": ["SO-1"]}, "personal": {"name": "Ada Lovelace"}'
HERS = {
    **{name: data for name, data in {**WHOLE, **IN_PLACE}.items() if name not in UNNAMED},
    "of her order": BARE,
    "of her parcel": SCAN,
    "of her order, cut off": BARE[:-1],
    "of her parcel, cut off": SCAN[:-1],
    "of her parcel in another spelling": SCAN.replace(b"SF1", b"sf-1"),
    "of her parcel in another spelling, cut off": SCAN.replace(b"SF1", b"sf-1")[:-1],
    "of her reference, cut off": REFERENCE,
    "of her reference in another spelling, cut off": REFERENCE.replace(b"SO-1", b"so-1"),
    "her name in escapes": INNER[:-1].replace(b'"ada"', b'"\\u0061da"'),
    "another tenant's too": b'{"tenant": "t"}' + INNER,
    "her id in single quotes": INNER[:-1].replace(b'"', b"'"),
    "base64 of a cut-off event": b'{"data_base64": "%s"}' % base64.b64encode(INNER[:-1]),
}


@pytest.mark.parametrize("data", HERS.values(), ids=HERS)
@pytest.mark.parametrize("first", ["the original", "the erasure"])
def test_erasing_the_customer_erases_the_rejected_original(data: bytes, first: str) -> None:
    keystore = MemoryKeyStore()
    seal_rejected(LINKED.replace(b"SF1", b"SF1", 1), keystore)
    seal_rejected(LINKED.replace(b'"waybill": "SF1"', b'"references": {"erp": "SO-1"}'), keystore)
    if first == "the erasure":
        for number in ("SF1", f"erp{SEPARATOR}SO-1"):
            keystore.key_for("default", subject_of(other=number))
        keystore.erase("default", "ada")
        seal_rejected(LINKED, keystore)
    sealed = seal_rejected(data, keystore)
    keystore.erase("default", "ada")
    assert not any(word in sealed for word in READABLE)
    with pytest.raises(KeyErased):
        open_rejected(sealed, keystore)


def test_erasing_one_customer_leaves_the_originals_of_another() -> None:
    keystore = MemoryKeyStore()
    sealed = [seal_rejected(data.replace(b"ada", b"bob"), keystore) for data in (INNER, INNER[:-1])]
    keystore.erase("default", "ada")
    for one in sealed:
        assert b"Ada Lovelace" in open_rejected(one, keystore)


def test_a_binary_cloud_event_is_sealed_under_the_key_of_whom_its_headers_name() -> None:
    keystore = MemoryKeyStore()
    headers: list[tuple[str, bytes | None]] = [
        ("ce_specversion", b"1.0"),
        ("ce_subject", b"o-1"),
        ("ce_customer_id", b"ada"),
        ("traceparent", b"00-1"),
    ]
    bodies = [b'{"personal": {"name": "Ada Lovelace"}}', b'{"personal": {"name": "Ada Lovelace"']
    sealed = [seal_rejected(body, keystore, headers) for body in bodies]
    assert [json.loads(open_rejected(one, keystore, headers)) for one in sealed[:1]] == [
        json.loads(bodies[0])
    ]
    assert open_rejected(sealed[1], keystore, headers) == bodies[1]
    keystore.erase("default", "ada")
    for one in sealed:
        with pytest.raises(KeyErased):
            open_rejected(one, keystore, headers)


def test_erasing_the_customer_erases_what_only_a_header_with_her_waybill_names() -> None:
    keystore = MemoryKeyStore()
    seal_rejected(LINKED, keystore)
    headers: list[tuple[str, bytes | None]] = [("ce_specversion", b"1.0"), ("ce_waybill", b"SF1")]
    sealed = seal_rejected(b'{"personal": {"name": "Ada Lovelace"', keystore, headers)
    keystore.erase("default", "ada")
    with pytest.raises(KeyErased):
        open_rejected(sealed, keystore, headers)


def test_an_event_rejected_after_it_was_sealed_opens_like_an_original() -> None:
    keystore = MemoryKeyStore()
    data = (
        b'{"event_id":"1","source":"shop","status_code":"PAID","timestamp":"2018-01-31T02:30:00Z",'
        b'"waybill":"SF1","references":{"erp":["SO-1"]},"personal":{"name":"Ada Lovelace"}}'
    )
    event = decode_event(data)
    assert isinstance(event, Event)
    sealed = seal_event(data, event, keystore)
    assert open_rejected(sealed, keystore) == data
    in_place = seal_rejected(data, keystore)
    assert json.loads(in_place) == json.loads(sealed)
    assert seal_event(in_place, event, keystore)


@pytest.mark.parametrize(
    "fields",
    [
        {"references": {"erp": [7, "SO-1"]}},
        {"references": {"erp": ["", "x" * 257, "SO-1"], "box": {"id": 1}}},
        {"references": {"erp": "SO-1", "wms": None}, "waybill": " ", "tenant": "  "},
        {"order_id": "o1", "customer_id": "", "references": "none"},
        {"customer_id": "ada", "references": [1], "order_id": "o1"},
    ],
)
def test_an_original_with_unusable_fields_is_accepted_when_it_comes_back(
    fields: dict[str, object],
) -> None:
    """Its personal data is sealed for the fields that count, not for those left out."""
    keystore = MemoryKeyStore()
    said = {"event_id": "e", "source": "shop", "status_code": "LOST_IN_SPACE", **fields}
    said |= {"timestamp": "2026-03-01T00:00:00Z", "personal": ADA, "carrier": 7}
    sealed = seal_rejected(json.dumps(said).encode(), keystore)
    event, kept = read_event(sealed)
    assert isinstance(event, Event)
    again = seal_event(kept, event, keystore)
    assert open_event(again, keystore) == ADA


def test_a_whole_original_without_its_key_or_with_another_is_not_opened() -> None:
    keystore = MemoryKeyStore()
    sealed = json.loads(seal_rejected(INNER[:-1], keystore))
    with pytest.raises(KeyErased):
        open_rejected(json.dumps(sealed, separators=(",", ":")).encode(), MemoryKeyStore())
    sealed["key"] = keystore.key_for("default", "another").key_id
    with pytest.raises(StateError, match="damaged"):
        open_rejected(json.dumps(sealed, separators=(",", ":")).encode(), keystore)


@pytest.mark.parametrize("data", [b'{"sealed_original":', b'{"sealed_original":"Ada","key":"1"}'])
def test_what_only_looks_like_a_sealed_original_is_left_alone(data: bytes) -> None:
    assert open_rejected(data, MemoryKeyStore()) == data


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_no_bytes_break_it_and_no_secret_passes(before: bytes, after: bytes) -> None:
    data = before + b'"personal": {"name": "Lovelace"}' + after
    keystore = MemoryKeyStore()
    sealed = seal_rejected(data, keystore)
    assert b"Lovelace" not in sealed
