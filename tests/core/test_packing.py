"""Packing: what goes in comes out, and bytes of another layout are refused."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataflows.core.facts import MAX_ENTRIES
from dataflows.core.packing import (
    ENTRY,
    FORMAT,
    HEAD,
    MISSED,
    NO_ENTRY,
    Course,
    OpenEntry,
    Order,
    Parcel,
    armed_at_of,
    pack,
    unpack,
)
from schemas.errors import StateError
from schemas.instants import LATEST_AT

bytes_1 = st.integers(0, 0xFF)
words = st.integers(0, 2**64 - 1)
instants = st.integers(0, LATEST_AT)
numbers = st.integers(NO_ENTRY, MAX_ENTRIES)
names = st.text(max_size=40)
values = st.one_of(st.integers(-(2**53), 2**53), st.text(max_size=9), st.booleans(), st.none())


@st.composite
def packable(draw: st.DrawFn) -> Order:
    """An order with something in every place that is stored."""
    order = Order("o1")
    order.status, order.flags = draw(bytes_1), draw(bytes_1)
    order.version, order.period = draw(st.integers(0, 2**32 - 1)), draw(st.integers(0, 2**16 - 1))
    for field in ("promised_at", "ship_by", "armed_at"):
        setattr(order, field, draw(instants))
    order.parcels = [
        Parcel(name, draw(names), draw(bytes_1), draw(instants), draw(bytes_1), draw(instants))
        for name in draw(st.lists(names, max_size=4, unique=True))
    ]
    order.names = [(draw(names), parcel.name) for parcel in order.parcels]
    order.parcel_of = [*range(len(order.names))]
    order.course = Course(draw(numbers), draw(st.booleans()), draw(st.booleans()), draw(bytes_1))
    order.thinned = draw(st.binary(max_size=3)) * 8
    order.openings = draw(st.lists(st.tuples(bytes_1, bytes_1, instants), max_size=3))
    order.derived = draw(st.lists(st.tuples(bytes_1, numbers), max_size=3))
    order.firsts = draw(st.dictionaries(bytes_1, numbers, max_size=3))
    order.alerts = draw(
        st.lists(
            st.builds(
                OpenEntry,
                rule=st.integers(0, 0x3FFF),
                level=bytes_1,
                deadline=bytes_1,
                is_flapping=st.booleans(),
                parcel=bytes_1,
                anchor=numbers,
                opened_at=instants,
                due_at=instants,
                escalated_at=instants,
                last_wanted_at=instants,
            ),
            max_size=3,
        )
    )
    order.done = draw(st.lists(st.tuples(st.integers(0, 2**16 - 1), bytes_1, numbers), max_size=3))
    order.extras = draw(
        st.dictionaries(
            numbers, st.dictionaries(st.text(max_size=9), values, max_size=3), max_size=3
        )
    )
    side: st.SearchStrategy[dict[str, Any]] = st.dictionaries(st.text(max_size=3), values)
    order.side = draw(st.lists(st.none() | side, max_size=3))
    order.history = b"".join(
        ENTRY.pack(*entry) for entry in draw(st.lists(st.tuples(words, words, words), max_size=5))
    )
    entries = st.integers(NO_ENTRY, order.entries - 1)
    order.latest_entry, order.created_entry = draw(entries), draw(entries)
    if order.latest_entry != NO_ENTRY:
        order.latest = order.word(order.latest_entry) >> 14
    if order.created_entry != NO_ENTRY:
        order.created_at = order.at(order.created_entry)
    return order


def fields(order: Order) -> dict[str, Any]:
    found = {name: getattr(order, name) for name in Order.__slots__}
    for name in ("parcels", "course"):
        found[name] = msgspec.to_builtins(found[name])
    return found


@given(packable())
def test_unpacking_gives_back_what_was_packed(order: Order) -> None:
    data = pack(order)
    again = unpack("o1", data)
    assert fields(again) == fields(order)
    assert pack(again) == data
    assert armed_at_of(data) == order.armed_at


@given(packable(), st.integers(0, 255).filter(lambda layout: layout != FORMAT))
def test_an_order_of_another_format_is_refused(order: Order, layout: int) -> None:
    data = HEAD[:-1] + bytes([layout]) + pack(order)[len(HEAD) :]
    with pytest.raises(StateError) as caught:
        unpack("o1", data)
    assert str(caught.value) == (
        f"order o1: stored in format {layout}; this version reads format {FORMAT}"
    )


@given(packable(), words)
def test_an_entry_is_found_by_its_hash_alone(order: Order, unheard: int) -> None:
    hashes = order.words()[2::3]
    for event in hashes:
        found = order.find(event)
        assert order.hash_of(found) == event
    assert (order.find(unheard) != NO_ENTRY) == (unheard in hashes)


def test_forgetting_keeps_what_the_fold_does_not_compute() -> None:
    order = Order("o1")
    order.flags |= MISSED
    order.parcels = [Parcel("A", "a", 3, 9)]
    order.promised_at = 9
    order.forget()
    assert order.flags & MISSED
    assert [(parcel.name, parcel.updated_at) for parcel in order.parcels] == [("A", 0)]
    assert order.promised_at == 0
