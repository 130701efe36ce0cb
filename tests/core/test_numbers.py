"""Many numbers put back at once, as a restart does, are what one after another makes of them."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataflows.core.numbers import Mapping, Numbers, hash_of, pack
from dataflows.core.resolve import FORGET_AFTER_MS
from tests.core import stage

Put = tuple[bytes, bytes]
DAYS = st.integers(0, 65_535)
TIMES = st.integers(-(2**63), 2**63 - 1)
MAPPINGS = st.builds(Mapping, st.text(max_size=9), st.text(max_size=3), TIMES, TIMES, DAYS, DAYS)
RECORDS = st.lists(MAPPINGS, max_size=3).map(pack)  # none: forgotten
# Few different bytes: then a hash often stands in the middle of another record too.
HASHES = st.binary(min_size=12, max_size=12).map(lambda drawn: bytes(byte & 1 for byte in drawn))
PUTS = st.lists(st.tuples(HASHES, RECORDS), max_size=60)


def held(numbers: Numbers) -> tuple[object, ...]:
    return numbers.table.pages, len(numbers), numbers.days(), numbers.came


def gone_on(before: Numbers) -> Numbers:
    """As a restart has them: from a base."""
    numbers = Numbers(FORGET_AFTER_MS, stage.NATIVE)
    numbers.restore(list(before.table.pages), len(before), before.days())
    return numbers


def check(base: list[Put], changed: list[Put]) -> None:
    before = Numbers(FORGET_AFTER_MS)
    for key, record in base:
        before.take(key, record)
    at_once, one_by_one = gone_on(before), gone_on(before)
    at_once.take_all(changed)
    for key, record in changed:
        one_by_one.take(key, record)
    assert held(at_once) == held(one_by_one)


@given(PUTS, PUTS)
def test_records_put_at_once_are_those_put_one_after_another(
    base: list[Put], changed: list[Put]
) -> None:
    check(base, changed)


def test_so_are_thousands_with_the_pages_they_need(rng: random.Random) -> None:
    def some(count: int) -> list[Put]:
        return [
            (
                hash_of(f"W{rng.randrange(3_000)}"),
                pack([Mapping("order", "sf", 0, 0, 0, rng.randrange(9))] * rng.randrange(3)),
            )
            for _ in range(count)
        ]

    check(some(1_000), some(9_000))


@pytest.mark.parametrize(
    ("pages", "put"),
    [
        ([b"short"], (b"k" * 12, b"")),
        ([b"k" * 12 + b"\xff\xff\0\0"], (b"j" * 12, b"")),
        ([b""], (b"short", b"record")),
        ([b""], (b"k" * 12, b"no mapping")),
    ],
)
def test_damage_is_an_error(pages: list[bytes], put: Put) -> None:
    if stage.NATIVE is None:
        pytest.skip("slices of Python never reach beyond their bytes")
    with pytest.raises(ValueError, match="damaged"):
        stage.NATIVE.put_numbers(pages, 1, [put])
