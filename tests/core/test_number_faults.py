"""A fault in resolving one number concerns that number: all others are resolved."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataflows.core.compiled import hash_of
from dataflows.core.fact import Fact
from dataflows.core.questions import Answers, Question, Registration, number_key
from dataflows.core.resolve import Resolver, ResolverSnapshot
from schemas.instants import DAY_MS
from tests.support.number_pages import HEAD_BYTES, SIZE_AT, records
from tests.support.stage import START_AT, day

BROKEN = number_key("default", "waybill", "BROKEN")
# What a page can become: its first record too long, too short, empty; cut in a record or in a head.
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "too long": lambda page: page[:SIZE_AT] + b"\xff\xff\0\0" + page[HEAD_BYTES:],
    "a little too long": lambda page: (
        page[:SIZE_AT] + bytes([page[SIZE_AT] + 3]) + page[SIZE_AT + 1 :]
    ),
    "empty": lambda page: page[:SIZE_AT] + bytes(4) + page[HEAD_BYTES:],
    "cut in a record": lambda page: page[:-5],
    "cut in a head": lambda page: page[: HEAD_BYTES - 1],
    "gone": lambda _page: b"",
}
# Too short for a mapping; lengths beyond the record; an order id that is no UTF-8; zeros.
RECORDS = [b"\x01", b"\xff" * 24, b"\0" * 20 + b"\x04\0\0\0" + b"\xff\xfe\xfd\xfc", b"\0" * 23]


def broken_by(record: bytes, *, forget_after_days: int = 180) -> Resolver:
    """A resolver that was restored with a number whose record can't be read."""
    after_ms = forget_after_days * DAY_MS
    resolver = Resolver(after_ms, forget_unused_after_ms=after_ms)
    changed = [(hash_of(BROKEN), record)]
    resolver.restore([ResolverSnapshot(START_AT, [], 0, {}, changed, [], is_all_waiting=True)])
    return resolver


def registration(number: str, order_id: str, at: int) -> Registration:
    return Registration(number, order_id, "", at, at)


def question(number: str, at: int) -> Question:
    fact = Fact("", at, at, 1, "", "carrier:sf", f"{number}@{at}", at ^ len(number), b"{}")
    return Question(number, "default", "", fact)


@pytest.mark.parametrize("record", RECORDS)
def test_a_question_about_a_broken_number_is_a_dead_letter_and_others_are_answered(
    record: bytes,
) -> None:
    resolver, answers = broken_by(record), Answers()
    whole = number_key("default", "waybill", "WHOLE")
    asked = [question(BROKEN, day(1)), question(whole, day(1))]
    resolver.offer([registration(whole, "o1", day(0))], asked)
    resolver.advance(day(1), answers)
    assert [fact.key for fact in answers.facts] == ["o1"]
    [letter] = answers.rejected
    assert letter.reason.code == "internal_fault"
    assert letter.fact.event_id.startswith(BROKEN)
    assert resolver.waiting_count == 0


@pytest.mark.parametrize("record", RECORDS)
def test_a_registration_of_a_broken_number_is_reported_and_others_are_taken(record: bytes) -> None:
    resolver, answers = broken_by(record), Answers()
    resolver.advance(day(0), answers)  # it was noticed at the restart
    noticed = len(answers.faults)
    numbers = (BROKEN, number_key("default", "erp", "SO-1"))
    resolver.offer([registration(number, "o1", day(1)) for number in numbers], [])
    resolver.advance(day(1), answers)
    assert len(answers.faults) == noticed + 1
    assert answers.faults[-1].key == BROKEN
    assert answers.faults[-1].reason.startswith("damaged: ")
    assert not answers.rejected
    assert resolver.numbers.get(hash_of(number_key("default", "erp", "SO-1")))


def test_what_waits_for_a_number_is_answered_one_by_one() -> None:
    resolver, answers = Resolver(), Answers()
    number = number_key("default", "waybill", "W1")
    poison = question(number, day(1))
    poison.fact.at = "noon"  # type: ignore[assignment]  # what no message can make
    resolver.waiting[number] = [question(number, day(0, 1)), poison, question(number, day(0, 2))]
    resolver.parked_count = 3
    resolver.offer([registration(number, "o1", day(0, 3))], [])
    resolver.advance(day(0, 3), answers)
    assert [fact.event_id for fact in answers.facts] == [
        f"{number}@{day(0, 1)}",
        f"{number}@{day(0, 2)}",
    ]
    assert [letter.reason.code for letter in answers.rejected] == ["internal_fault"]
    assert resolver.waiting_count == 0


def test_a_broken_number_is_not_looked_at_for_ever() -> None:
    resolver, answers = broken_by(RECORDS[0], forget_after_days=1), Answers()
    for number in range(9):
        key = number_key("default", "waybill", f"W{number}")
        resolver.offer([registration(key, "o1", day(0))], [])
    for later in range(1, 6):
        resolver.advance(day(later), answers)
    assert len(resolver.numbers) == 1, "the others are forgotten, this one is kept"
    assert len(answers.faults) == 1


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_page_is_reported_and_costs_only_its_own_numbers(
    damage: Callable[[bytes], bytes],
) -> None:
    whole, answers = Resolver(), Answers()
    keys = [number_key("default", "waybill", f"W{number}") for number in range(200)]
    whole.offer([registration(key, "o1", day(0)) for key in keys], [])
    whole.advance(day(0), answers)
    base = whole.snapshot(base=True)
    lost = {key for key, _ in records(base.pages[3])}
    base.pages[3] = damage(base.pages[3])
    resolver, answers = Resolver(), Answers()
    resolver.restore([base])
    resolver.offer([], [question(key, day(1)) for key in keys])
    resolver.advance(day(1), answers)
    assert [True for fault in answers.faults if "of a damaged page" in fault.key] == [True]
    answered = {fact.event_id.partition("@")[0] for fact in answers.facts}
    assert answered >= {key for key in keys if hash_of(key) not in lost}
    assert len(answers.facts) + len(answers.rejected) + resolver.waiting_count == len(keys)
    # Learned again, split and forgotten like any other.
    more = [number_key("default", "waybill", f"V{number}") for number in range(300)]
    answers.faults.clear()
    resolver.offer([registration(key, "o1", day(2)) for key in keys + more], [])
    resolver.advance(day(2), answers)
    assert resolver.waiting_count == 0
    assert len(answers.facts) + len(answers.rejected) == len(keys)
    for later in range(3, 1_100, 30):
        resolver.advance(day(later), answers)


@given(st.binary(min_size=1, max_size=60), st.lists(st.integers(0, 3), max_size=12))
def test_whatever_a_record_holds_the_other_numbers_are_resolved(
    record: bytes, steps: list[int]
) -> None:
    whole = number_key("default", "waybill", "WHOLE")
    alone, beside = Resolver(), broken_by(record)
    expected, found = Answers(), Answers()
    for at, step in enumerate(steps):
        for resolver, answers in ((alone, expected), (beside, found)):
            if step == 0:
                resolver.offer([registration(whole, "o1", day(at))], [])
            elif step == 1:
                resolver.offer([], [question(whole, day(at))])
            elif step == 2 and resolver is beside:
                resolver.offer([], [question(BROKEN, day(at))])
            elif step == 3 and resolver is beside:
                resolver.offer([registration(BROKEN, "o2", day(at))], [])
            resolver.advance(day(at), answers)
    of_whole = [fact for fact in found.facts if fact.event_id.startswith(whole)]
    assert of_whole == expected.facts
