"""Packed records: what a dict would do, whatever the bytes in them."""

import random

from hypothesis import given
from hypothesis import strategies as st

from dataflows.core.number_table import (
    HASH_BYTES,
    PLACE_BYTES,
    RECORDS_A_PAGE,
    NumberTable,
    place_of,
)

# Few different bytes: then a hash often stands in the middle of another record too.
HASHES = st.binary(min_size=HASH_BYTES, max_size=HASH_BYTES).map(
    lambda drawn: bytes(byte & 1 for byte in drawn)
)
RECORDS = st.one_of(st.just(b""), st.lists(HASHES, min_size=1, max_size=3).map(b"".join))


@given(st.lists(st.tuples(HASHES, RECORDS), max_size=60))
def test_it_holds_what_a_dict_would_hold(said: list[tuple[bytes, bytes]]) -> None:
    table, expected = NumberTable(), dict[bytes, bytes]()
    for key, record in said:
        is_new = table.put(key, record)
        assert is_new == (key not in expected and bool(record))
        expected.pop(key, None)
        if record:
            expected[key] = record
        assert table.get(key) == record
    assert dict(table) == expected
    assert len(table) == len(expected)
    for key, record in expected.items():
        assert table.get(key) == record
        assert (key, record) in table.at(place_of(key))


def test_pages_are_split_one_by_one_and_stay_short(rng: random.Random) -> None:
    table = NumberTable()
    keys = [rng.randbytes(HASH_BYTES) for _ in range(5_000)]
    for count, key in enumerate(keys, 1):
        pages = len(table.pages)
        table.put(key, key[:5])
        assert len(table.pages) <= pages + 1
        assert count <= RECORDS_A_PAGE * len(table.pages)
    assert all(table.get(key) == key[:5] for key in keys)
    longest = max(map(len, table.pages)) // (HASH_BYTES + PLACE_BYTES + 5)
    assert longest < 4 * RECORDS_A_PAGE, "pages that were not split yet have twice as many"


def test_pages_are_all_that_is_needed_to_go_on(rng: random.Random) -> None:
    table, other = NumberTable(), NumberTable()
    keys = [rng.randbytes(HASH_BYTES) for _ in range(700)]
    for key in keys[:650]:
        table.put(key, b"before")
    other.restore(list(table.pages), len(table))
    for key in keys:
        other.put(key, b"after")
    assert dict(other) == dict.fromkeys(keys, b"after")
    assert len(other) == len(keys)
    assert all(table.get(key) == b"before" for key in keys[:650])
