"""Rejected originals: whatever they are, no personal data is readable in what is kept of them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.keys import KeyErased, MemoryKeyStore, subject_of
from privacy.originals import open_rejected, seal_rejected
from privacy.seal import open_sealed
from schemas.errors import StateError

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
    assert open_rejected(sealed, keystore) == sealed


@pytest.mark.parametrize(
    "data", [b"", b"{", b"\xff\xfe", b'{"order_id": "o-1",   "x": 1}', b"null", b"[1, 2", b"17"]
)
def test_without_personal_data_an_original_stays_as_it_came(data: bytes) -> None:
    assert seal_rejected(data, MemoryKeyStore()) == data


def test_it_is_sealed_under_the_key_of_the_customer_it_stands_with() -> None:
    keystore = MemoryKeyStore()
    data = b'{"tenant": "t", "order_id": "o", "data": {"customer_id": 17, "personal": {"a": 1}}}'
    sealed = json.loads(seal_rejected(data, keystore))["data"]["personal"]
    assert sealed["key"] == keystore.key_for("t", "17").key_id
    assert open_sealed(sealed, keystore) == {"a": 1}


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


def test_erasing_the_customer_erases_the_rejected_original() -> None:
    keystore = MemoryKeyStore()
    sealed = json.loads(seal_rejected(INNER, keystore))["personal"]
    keystore.erase("default", "ada")
    with pytest.raises(KeyErased):
        open_sealed(sealed, keystore)


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
