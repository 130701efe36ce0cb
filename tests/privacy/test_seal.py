"""Sealing: it can't be read without the key, and nothing but `personal` changes."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.keys import KeyErased, MemoryKeyStore
from privacy.seal import is_sealed, open_event, open_sealed, seal, seal_event
from schemas.errors import Rejected, StateError
from schemas.event import EVENT as READ
from schemas.event import Event

ADA = {"name": "Ada Lovelace", "phone": "+44 20 7946 0018", "address": {"city": "London"}}

EVENT = {
    "event_id": "1",
    "order_id": "o-1",
    "customer_id": "ada",
    "status_code": "PAID",
    "timestamp": "2018-01-31T02:30:00Z",
    "source": "shop",
    "personal": ADA,
    "their_own": {"deep": [1, 2.50, None]},
}

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
OBJECTS = st.dictionaries(TEXTS, VALUES, max_size=4)


def encoded(**changes: object) -> bytes:
    fields = {**EVENT, **changes}
    return json.dumps({k: v for k, v in fields.items() if v is not None}, indent=1).encode()


def read(data: bytes) -> Event:
    event = READ.decode(data)
    assert isinstance(event, Event)
    return event


def sealed_of(data: bytes, keystore: MemoryKeyStore) -> dict[str, str]:
    found: dict[str, str] = json.loads(seal_event(data, read(data), keystore))["personal"]
    return found


@given(OBJECTS)
def test_what_is_sealed_can_be_opened_and_not_be_read(personal: dict[str, object]) -> None:
    keystore = MemoryKeyStore()
    sealed = seal(personal, keystore.key_for("default", "ada"))
    assert is_sealed(sealed)
    assert open_sealed(sealed, keystore) == personal


def test_no_word_of_it_stays_readable() -> None:
    data = encoded()
    sealed = seal_event(data, read(data), MemoryKeyStore())
    for word in (b"Ada Lovelace", b"7946 0018", b"London", b"address"):
        assert word in data
        assert word not in sealed
        assert base64.b64encode(word)[:-2] not in sealed


def test_an_event_delivered_twice_is_sealed_to_the_same_bytes() -> None:
    keystore = MemoryKeyStore()
    first, turned = encoded(), encoded(personal=dict(reversed(ADA.items())))
    assert seal_event(first, read(first), keystore) == seal_event(first, read(first), keystore)
    assert sealed_of(first, keystore) == sealed_of(turned, keystore)


def test_customers_with_the_same_data_do_not_look_alike() -> None:
    keystore = MemoryKeyStore()
    one, two = (sealed_of(encoded(customer_id=customer), keystore) for customer in ("ada", "bob"))
    assert one["sealed"] != two["sealed"]
    assert one["key"] != two["key"]


@given(OBJECTS, OBJECTS)
def test_everything_else_stays_as_it_came(
    personal: dict[str, object], more: dict[str, object]
) -> None:
    unknown = {f"their_{name}": value for name, value in more.items()}
    fields = {**unknown, **EVENT, "personal": personal}
    data = json.dumps(fields).encode()
    sealed = json.loads(seal_event(data, read(data), MemoryKeyStore()))
    assert {**sealed, "personal": personal} == fields


def test_numbers_keep_their_digits() -> None:
    data = encoded()[:-1] + b', "weight": 2.500, "huge": 1e400, "long": 123456789012345678901234}'
    sealed = seal_event(data, read(data), MemoryKeyStore())
    assert b'"weight":2.500' in sealed
    assert b'"huge":1e400' in sealed
    assert b'"long":123456789012345678901234' in sealed


@pytest.mark.parametrize("changes", [{"personal": None}, {"personal": {}}])
def test_an_event_without_personal_data_is_left_alone(changes: dict[str, object]) -> None:
    data = encoded(**changes)
    sealed = seal_event(data, read(data), MemoryKeyStore())
    assert json.loads(sealed) == json.loads(data)


def test_what_is_sealed_already_stays() -> None:
    keystore = MemoryKeyStore()
    data = encoded()
    once = seal_event(data, read(data), keystore)
    assert seal_event(once, read(once), keystore) == once


def test_what_only_pretends_to_be_sealed_is_sealed() -> None:
    pretending = {"sealed": "Ada Lovelace", "key": "0" * 32}
    keystore = MemoryKeyStore()
    data = encoded(personal=pretending)
    assert open_event(seal_event(data, read(data), keystore), keystore) == pretending


@pytest.mark.parametrize("last", [b"null", b"{}", b'{"x": 1}'])
@pytest.mark.parametrize("name", [b"personal", b"p\\u0065rsonal"])
def test_a_field_that_comes_twice_hides_nothing(last: bytes, name: bytes) -> None:
    data = encoded(personal=None)[:-1] + b', "%s": {"name": "Lovelace"}, "personal": %s}' % (
        name,
        last,
    )
    assert b"Lovelace" not in seal_event(data, read(data), MemoryKeyStore())


def test_the_key_is_the_customers_else_the_orders_else_the_parcels() -> None:
    keystore = MemoryKeyStore()
    bare = {"customer_id": None, "order_id": None, "waybill": "SF1"}
    keys = [
        sealed_of(encoded(**changes), keystore)["key"]
        for changes in ({}, {"order_id": "o-2"}, {"customer_id": None}, bare)
    ]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


def test_an_erased_key_makes_every_sealed_copy_unreadable() -> None:
    keystore = MemoryKeyStore()
    copies = [sealed_of(encoded(order_id=f"o-{number}"), keystore) for number in range(3)]
    bob = encoded(customer_id="bob")
    other = seal_event(bob, read(bob), keystore)
    keystore.erase("default", "ada")
    for copy in copies:
        with pytest.raises(KeyErased, match=f"under key {copy['key']}: the key has been erased"):
            open_sealed(copy, keystore)
    assert open_event(other, keystore) == ADA


@pytest.mark.parametrize("changes", [{}, {"event_id": "2"}, {"order_id": "o-9"}])
def test_what_is_read_again_after_the_erasure_is_not_kept(changes: dict[str, object]) -> None:
    keystore = MemoryKeyStore()
    before = sealed_of(encoded(), keystore)
    keystore.erase("default", "ada")
    data = encoded(**changes)
    again = seal_event(data, read(data), keystore)
    assert b"Ada Lovelace" not in base64.b64decode(json.loads(again)["personal"]["sealed"])
    assert json.loads(again)["personal"]["key"] == before["key"]
    with pytest.raises(KeyErased):
        open_event(again, keystore)
    assert seal_event(again, read(again), keystore) == again


FOREIGN = {
    "another event": {"event_id": "2"},
    "another source": {"source": "erp"},
    "another order": {"order_id": "o-2"},
    "another customer": {"customer_id": "bob"},
    "no customer": {"customer_id": None},
    "another tenant": {"tenant": "other"},
    "another parcel": {"waybill": "SF2"},
    "another reference": {"references": {"erp": "SO-1"}},
}


@pytest.mark.parametrize("changes", FOREIGN.values(), ids=FOREIGN)
def test_a_sealed_value_copied_to_another_record_neither_passes_nor_opens(
    changes: dict[str, object],
) -> None:
    keystore = MemoryKeyStore()
    sealed = sealed_of(encoded(), keystore)
    copied = encoded(**changes, personal=sealed)
    for has_all_keys in (True, False):
        with pytest.raises(Rejected, match="foreign_sealed: personal: a sealed value copied"):
            seal_event(copied, read(copied), keystore, has_all_keys=has_all_keys)
    with pytest.raises(StateError, match="copied from another record"):
        open_event(copied, keystore)


def test_a_sealed_value_of_another_installation_is_refused_but_by_a_replay() -> None:
    data = encoded(personal=sealed_of(encoded(), MemoryKeyStore()))
    with pytest.raises(Rejected, match=r"foreign_sealed: .* key that this installation never had"):
        seal_event(data, read(data), MemoryKeyStore())
    kept = seal_event(data, read(data), MemoryKeyStore(), has_all_keys=False)
    assert json.loads(kept) == json.loads(data)


@pytest.mark.parametrize(
    ("changes", "scan"),
    [
        ({}, {"order_id": "o-1"}),
        ({"waybill": "SF1"}, {"waybill": "SF1"}),
        ({"references": {"waybill": ["SF0", "SF1"]}}, {"waybill": "SF1"}),
        ({"references": {"erp": "SO-1"}}, {"references": {"erp": ["SO-1", "SO-2"]}}),
        ({"waybill": "SF-1 001"}, {"waybill": "ｓｆ1001"}),
        ({"references": {"erp": "so-1 "}}, {"references": {"erp": "SO-1"}}),
        ({"references": {"return_waybill": "sf 1"}}, {"waybill": "SF1"}),
    ],
    ids=[
        "order",
        "waybill",
        "reference among several",
        "reference before others",
        "waybill in another spelling",
        "reference in another spelling",
        "waybill of a return",
    ],
)
@pytest.mark.parametrize("first", ["order", "scan", "erasure"])
def test_erasing_a_customer_reaches_events_that_name_the_order_or_its_numbers_only(
    changes: dict[str, object], scan: dict[str, object], first: str
) -> None:
    keystore = MemoryKeyStore()
    bare = {**EVENT, "event_id": "9", "customer_id": None, "order_id": None, **scan}
    data = {"order": encoded(**changes), "scan": encoded(**bare)}
    if first == "erasure":
        keystore.erase("default", "ada")
    names = ["scan", "order"] if first == "scan" else ["order", "scan"]
    sealed = {name: seal_event(data[name], read(data[name]), keystore) for name in names}
    keystore.erase("default", "ada")
    for name in names:
        with pytest.raises(KeyErased):
            open_event(sealed[name], keystore)


def test_damaged_and_exchanged_seals_are_seen() -> None:
    keystore = MemoryKeyStore()
    sealed = seal(ADA, keystore.key_for("default", "ada"))
    other = keystore.key_for("default", "bob").key_id
    raw = bytearray(base64.b64decode(sealed["sealed"]))
    raw[3] ^= 1
    damaged = {**sealed, "sealed": base64.b64encode(raw).decode()}
    for wrong in (damaged, {**sealed, "key": other}):
        with pytest.raises(StateError, match="damaged"):
            open_sealed(wrong, keystore)
    with pytest.raises(StateError, match="nothing to open"):
        open_sealed({"name": "Ada"}, keystore)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b'{"tenant": "default"\n "source": 1}', "no JSON at line 2, column 2: a comma is missing"),
        (b'{"event_id": "1", "source": 7}', "source: it is a whole number; send a text"),
    ],
)
def test_a_damaged_record_is_refused_in_words(data: bytes, text: str) -> None:
    with pytest.raises(StateError) as refused:
        open_event(data, MemoryKeyStore())
    assert str(refused.value).startswith(f"personal data: {text}")
    assert str(refused.value).endswith("; query another tier")
