"""Versions: the generation of the state in front of the count of changes."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.versions import (
    CHANGES_BITS,
    MAX_GENERATION,
    changes_of,
    generation_of,
    published_version,
)

GENERATIONS = st.integers(0, MAX_GENERATION)
CHANGES = st.integers(0, 2**CHANGES_BITS - 1)


@given(GENERATIONS, CHANGES)
def test_a_version_is_a_whole_number_of_a_double(generation: int, changes: int) -> None:
    version = published_version(generation, changes)
    assert int(float(version)) == version < 2**53
    assert (generation_of(version), changes_of(version)) == (generation, changes)


@given(GENERATIONS, CHANGES, GENERATIONS, CHANGES)
def test_a_later_generation_wins_whatever_the_counts(
    generation: int, changes: int, other: int, others: int
) -> None:
    is_newer = published_version(generation, changes) > published_version(other, others)
    assert is_newer == ((generation, changes) > (other, others))


def test_generation_0_leaves_the_count_as_it_is() -> None:
    assert published_version(0, 7) == 7
