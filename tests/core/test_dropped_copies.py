"""Copies of one event, of which some have lost a field that can't be used."""

from itertools import permutations
from typing import Any

import pytest

from dataflows.core.compiled import content_hash
from schemas.order import OrderDocument
from tests.support.stage import NO_RULES, Json, Stage, day, fact_of, sent

GOOD = "2026-03-09"


def paid(arrival_at: int, **fields: Any) -> Json:  # noqa: ANN401 - any field of an event
    return sent("PAID", day(0), arrival_at, event_id="e", **fields)


def outcomes(*copies: Json) -> set[tuple[str | None, tuple[str, ...], int]]:
    """(promise, flags, duplicates) of the order, for each sequence in which the copies come."""
    found = set()
    for sequence in permutations(copies):
        stage = Stage(NO_RULES)
        stage.hear(*sequence)
        order: OrderDocument = stage.order()
        found.add((order.promised_at, tuple(order.flags), stage.counts["duplicates"]))
    return found


def test_the_first_copy_to_arrive_counts_with_its_field_or_without() -> None:
    good, bad = paid(day(1), promised_at=GOOD), paid(day(1), promised_at="soon")
    later_good, later_bad = paid(day(2), promised_at=GOOD), paid(day(2), promised_at="soon")
    conflict = ("conflicting_duplicate",)
    assert outcomes(good, later_bad) == {("2026-03-09T23:59:59.999Z", conflict, 1)}
    assert outcomes(bad, later_good) == {(None, conflict, 1)}


def test_of_copies_of_one_ms_the_same_counts_in_every_sequence() -> None:
    copies = [paid(day(1), promised_at=text) for text in (GOOD, "soon", "")]
    ((_, flags, duplicates),) = outcomes(*copies)
    assert (flags, duplicates) == (("conflicting_duplicate",), 2)


@pytest.mark.parametrize(
    "field", [{"carrier": 7}, {"operator": []}, {"location": {"lat": 91}}, {"planned": {"X": 1}}]
)
def test_a_copy_that_lost_a_field_is_a_duplicate_of_one_that_never_had_it(field: Json) -> None:
    assert outcomes(paid(day(1)), paid(day(1), **field)) == {(None, (), 1)}
    assert outcomes(paid(day(1)), paid(day(2), **field)) == {(None, (), 1)}


def test_the_same_fields_in_another_sequence_are_the_same_content() -> None:
    one = fact_of(paid(day(1), carrier=7, operator=7, ip=7))
    other = fact_of(paid(day(1), ip=7, carrier=7, operator=7))
    assert content_hash(one.raw) == content_hash(other.raw)
