"""Resolving: numbers lead to orders, at the time they meant them, and unknown numbers wait."""

import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataflows.core.questions import Answers, number_key, numbers_of, question, registrations
from dataflows.core.resolve import (
    FORGET_AFTER_MS,
    MAX_WAITING_PER_NUMBER,
    WAITS_AT_MOST_MS,
    Resolver,
)
from schemas.event import Event, decode_event
from schemas.instants import DAY_MS, format_instant
from tests import reference_numbers
from tests.support.generators import arrival_of
from tests.support.stage import Json, day, fact_of, json_of, sent

CORE = Path(__file__).resolve().parents[2] / "dataflows" / "core"
LIFECYCLE = tomllib.loads((CORE / "lifecycle.toml").read_text("utf-8"))


class Desk:
    """A resolver and all its answers; restarted from a snapshot on request."""

    def __init__(self) -> None:
        self.resolver = Resolver()
        self.answers = Answers()
        self.latest_at = 0

    def hear(self, *events: Json) -> None:
        """Read events: with an order id one registers its numbers, without it asks."""
        for event in events:
            decoded = decode_event(json_of(event))
            assert isinstance(decoded, Event)
            self.latest_at = max(self.latest_at, arrival_of(event))
            if decoded.order_id is None:
                self.resolver.offer([], [question(decoded, fact_of(event))])
            else:
                said_of_it = registrations(decoded, decoded.at, arrival_of(event))
                self.resolver.offer(said_of_it, [])

    def reach(self) -> Answers:
        """Let the watermark reach everything that was read; all answers so far."""
        self.resolver.advance(self.latest_at, self.answers)
        return self.answers

    def given(self) -> list[tuple[str, str, int]]:
        """(order, event, arrival) of every fact handed on."""
        return [(fact.key, fact.event_id, fact.arrival_at) for fact in self.reach().facts]

    def restart(self) -> None:
        """Begin again from a snapshot."""
        base = self.resolver.snapshot(base=True)
        self.resolver = Resolver()
        self.resolver.restore([base])


def order(order_id: str, at: int, *waybills: str, **fields: Any) -> Json:  # noqa: ANN401 - any field of an event
    return sent("PAID", at, order_id=order_id, references={"waybill": list(waybills)}, **fields)


def scan(waybill: str, at: int, arrival_at: int | None = None, **fields: Any) -> Json:  # noqa: ANN401 - any field of an event
    event = sent("SCAN", at, arrival_at, waybill=waybill, source="carrier:sf", **fields)
    return {name: value for name, value in event.items() if name != "order_id"}


def test_a_known_waybill_leads_to_its_order() -> None:
    desk = Desk()
    desk.hear(order("o1", day(0), "W1"))
    desk.hear(scan("W1", day(1)))
    assert desk.given() == [("o1", f"SCAN@{day(1)}", day(1))]


def test_a_parcel_with_several_orders_gives_its_event_to_each_and_counts_once() -> None:
    desk = Desk()
    desk.hear(order("o2", day(0), "W1"))
    desk.hear(order("o1", day(0), "W1"))
    desk.hear(scan("W1", day(1)))
    assert [fact.key for fact in desk.reach().facts] == ["o1", "o2"]
    assert [fact.counted for fact in desk.answers.facts] == [True, False]


@pytest.mark.parametrize("has_restarted", [False, True])
def test_an_unknown_number_waits_and_applies_when_its_order_arrives(
    has_restarted: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    desk = Desk()
    desk.hear(scan("W1", day(1)))
    assert (desk.given(), desk.resolver.waiting_count) == ([], 1)
    if has_restarted:
        desk.restart()
        assert desk.resolver.waiting_count == 1
    desk.hear(order("o1", day(0), "W1", arrival_at=day(2)))
    assert desk.given() == [("o1", f"SCAN@{day(1)}", day(2))]
    assert desk.resolver.waiting_count == 0


def test_the_later_of_both_arrivals_counts() -> None:
    desk = Desk()
    desk.hear(order("o1", day(0), "W1", arrival_at=day(2)))
    desk.hear(scan("W1", day(1), arrival_at=day(1, 1)))
    desk.hear(scan("W1", day(3), arrival_at=day(4)))
    assert [arrival for _, _, arrival in desk.given()] == [day(2), day(4)]


def test_a_waiting_duplicate_waits_once() -> None:
    desk = Desk()
    desk.hear(scan("W1", day(1)))
    desk.hear(scan("W1", day(1)))
    assert (desk.reach().duplicates, desk.resolver.waiting_count) == (1, 1)


def test_what_waits_too_long_is_given_up_with_its_number() -> None:
    desk = Desk()
    desk.hear(scan("W1", day(1)))
    desk.hear(scan("W1", day(2)))
    desk.resolver.advance(day(1) + WAITS_AT_MOST_MS, desk.answers)
    assert desk.answers.rejected == []
    desk.resolver.advance(day(1) + WAITS_AT_MOST_MS + 1, desk.answers)
    (given_up,) = desk.answers.rejected
    assert given_up.fact.at == day(1)
    assert given_up.reason.code == "unknown_reference"
    assert given_up.reason.reason == "no order registered 'W1' within 7 days"
    assert desk.resolver.waiting_count == 1


def test_a_number_holds_a_bounded_queue() -> None:
    desk = Desk()
    for n in range(MAX_WAITING_PER_NUMBER + 1):
        desk.hear(scan("W1", day(1) + n))
    desk.reach()
    assert desk.resolver.waiting_count == MAX_WAITING_PER_NUMBER
    assert [one.reason.code for one in desk.answers.rejected] == ["too_many_waiting"]
    desk.hear(scan("W2", day(2)))
    desk.reach()
    assert desk.resolver.waiting_count == MAX_WAITING_PER_NUMBER + 1


def test_all_numbers_together_hold_a_bounded_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataflows.core.resolve.MAX_WAITING", 3)
    desk = Desk()
    for n in range(4):
        desk.hear(scan(f"W{n}", day(1)))
    desk.reach()
    assert desk.resolver.waiting_count == 3
    assert [one.reason.code for one in desk.answers.rejected] == ["too_many_waiting"]


def test_a_number_that_is_used_again_means_the_later_order() -> None:
    again_at = day(0) + FORGET_AFTER_MS + 30 * DAY_MS
    desk = Desk()
    desk.hear(order("old", day(0), "W1"))
    desk.hear(order("new", again_at, "W1"))
    desk.hear(scan("W1", day(2)))
    desk.hear(scan("W1", again_at + DAY_MS))
    assert [key for key, _, _ in desk.given()] == ["old", "new"]


def test_a_number_unused_for_180_days_is_unknown_again() -> None:
    desk = Desk()
    desk.hear(order("old", day(0), "W1"))
    desk.hear(scan("W1", day(100)))
    desk.hear(scan("W1", day(100) + FORGET_AFTER_MS))
    assert len(desk.given()) == 2
    desk.hear(scan("W1", day(100) + 2 * FORGET_AFTER_MS + DAY_MS))
    assert len(desk.given()) == 2
    assert desk.resolver.waiting_count == 1


def test_a_scan_from_before_the_registration_belongs_to_its_order() -> None:
    desk = Desk()
    desk.hear(order("o1", day(2), "W1"))
    desk.hear(scan("W1", day(1)))
    assert [key for key, _, _ in desk.given()] == ["o1"]


def test_the_same_number_of_another_carrier_is_another_number() -> None:
    desk = Desk()
    desk.hear(order("o1", day(0), "W1", carrier="sf"))
    desk.hear(order("o2", day(0), "W1", carrier="sto"))
    desk.hear(scan("W1", day(1), carrier="sto"))
    desk.hear(scan("W1", day(2)))
    assert [key for key, _, _ in desk.given()] == ["o2", "o1", "o2"]


def test_tenants_do_not_share_numbers() -> None:
    desk = Desk()
    desk.hear(order("o1", day(0), "W1", tenant="acme"))
    desk.hear(scan("W1", day(1)))
    assert desk.given() == []
    desk.hear(scan("W1", day(2), tenant="acme"))
    assert [key for key, _, _ in desk.given()] == ["acme\x1fo1"]


def test_a_foreign_number_leads_to_the_order_too() -> None:
    desk = Desk()
    desk.hear(sent("PAID", day(0), references={"erp": "SO-1"}))
    asked = sent("ALLOCATED", day(1), references={"erp": "SO-1"}, source="erp")
    desk.hear({name: value for name, value in asked.items() if name != "order_id"})
    assert [key for key, _, _ in desk.given()] == ["o1"]


def test_an_event_asks_by_its_waybill_first() -> None:
    event = decode_event(json_of(scan("W1", day(0), references={"erp": "S", "waybill": "W1"})))
    assert isinstance(event, Event)
    assert [key.split("\x1f") for key in numbers_of(event)] == [
        ["default", "waybill", "W1"],
        ["default", "erp", "S"],
    ]


@pytest.mark.parametrize("clock_first", [True, False])
@pytest.mark.parametrize("days", [7, 8])
def test_a_registration_after_the_waiting_time_is_too_late_whenever_the_clock_moves(
    days: int, *, clock_first: bool
) -> None:
    desk = Desk()
    desk.hear(scan("W1", day(0)))
    if clock_first:
        desk.resolver.advance(day(days) - 1, desk.answers)
    desk.hear(order("o1", day(days), "W1"))
    desk.resolver.advance(day(days), desk.answers)
    assert len(desk.given()) == (1 if days == 7 else 0)
    assert len(desk.answers.rejected) == (0 if days == 7 else 1)


@pytest.mark.parametrize("written", ["123 456 789 ", "123-456-789", "１２３456789", "123456789"])
def test_a_waybill_is_found_however_it_is_written(written: str) -> None:
    desk = Desk()
    desk.hear(order("o1", day(0), written))
    desk.hear(scan("123456789", day(1)))
    assert [key for key, _, _ in desk.given()] == ["o1"]


def test_other_numbers_keep_their_hyphens() -> None:
    assert number_key("t", "erp", "1-23 ") != number_key("t", "erp", "12-3")
    assert number_key("t", "erp", "so-1 ") == number_key("t", "erp", "SO-1")


def test_a_later_order_takes_a_number_over_before_the_first_is_delivered() -> None:
    desk = Desk()
    desk.hear(order("old", day(0), "W1"))
    desk.hear(order("new", day(6), "W1"))
    desk.hear(scan("W1", day(5)))
    desk.hear(scan("W1", day(7)))
    assert [key for key, _, _ in desk.given()] == ["old", "new"]


def test_orders_that_register_a_number_close_together_share_it() -> None:
    desk = Desk()
    desk.hear(order("o1", day(0), "W1"))
    desk.hear(order("o2", day(3), "W1"))
    desk.hear(scan("W1", day(4)))
    assert [key for key, _, _ in desk.given()] == ["o1", "o2"]


def test_another_carriers_name_is_no_reason_to_miss_the_only_order() -> None:
    desk = Desk()
    desk.hear(order("o1", day(0), "W1", carrier="ups"))
    desk.hear(scan("W1", day(1), carrier="usps"))
    assert [key for key, _, _ in desk.given()] == ["o1"]


def test_a_number_of_the_erp_leads_to_its_order_for_years() -> None:
    desk = Desk()
    desk.hear(sent("PAID", day(0), references={"erp": "SO-9"}))
    event = sent("SHIPPED", day(2 * 365), source="wms", references={"erp": "so-9"})
    del event["order_id"]
    desk.hear(event)
    assert len(desk.given()) == 1


def test_registrations_of_one_instant_count_before_its_questions_whatever_their_names() -> None:
    desk = Desk()
    desk.hear(scan("W1", day(1)) | {"event_id": "a", "source": "aaa"})
    desk.hear(order("o2", day(1), "W1", source="zzz"), order("o1", day(1), "W1", source="zzz"))
    assert desk.given() == [("o1", "a", day(1)), ("o2", "a", day(1))]


def test_what_waits_goes_to_all_orders_that_register_its_number_at_one_instant() -> None:
    desk = Desk()
    desk.hear(scan("W1", day(1)))
    desk.reach()
    desk.hear(order("o2", day(2), "W1"), order("o1", day(2), "W1"))
    assert [(key, at) for key, _, at in desk.given()] == [("o1", day(2)), ("o2", day(2))]


def test_a_registration_that_arrives_later_revises_no_answer() -> None:
    """Also one that says that the number was its order's before the scan."""
    desk = Desk()
    desk.hear(order("old", day(0), "W1"))
    desk.hear(scan("W1", day(9), arrival_at=day(10)))
    desk.hear(order("new", day(8), "W1", arrival_at=day(11)))
    desk.hear(scan("W1", day(9), arrival_at=day(11), event_id="again"))
    given = [("old", f"SCAN@{day(9)}", day(10)), ("new", "again", day(11))]
    assert desk.given() == given


@pytest.mark.parametrize("is_read_first", [True, False])
def test_a_registration_counts_for_the_scans_behind_it_in_another_partition(
    *, is_read_first: bool
) -> None:
    """`new` takes the number over; its registration arrived before the scan and is read after."""
    desk = Desk()
    desk.hear(order("old", day(0), "W1"))
    read = [order("new", day(9), "W1"), scan("W1", day(10))]
    desk.hear(*(read if is_read_first else reversed(read)))
    assert [key for key, _, _ in desk.given()] == ["new"]


def test_a_question_is_held_until_the_watermark_has_passed_its_arrival() -> None:
    desk = Desk()
    desk.hear(order("o1", day(0), "W1"), scan("W1", day(1)))
    desk.resolver.advance(day(1) - 1, desk.answers)
    assert (desk.answers.facts, desk.resolver.waiting_count) == ([], 1)
    desk.restart()
    assert desk.resolver.waiting_count == 1
    desk.resolver.advance(day(1), desk.answers)
    assert [fact.key for fact in desk.answers.facts] == ["o1"]
    assert desk.resolver.waiting_count == 0


def test_what_has_waited_its_time_takes_no_room_from_what_arrives_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Though the watermark passes both at once."""
    monkeypatch.setattr("dataflows.core.resolve.MAX_WAITING", 1)
    desk = Desk()
    desk.hear(scan("W1", day(1)), scan("W2", day(9)))
    codes = [given_up.reason.code for given_up in desk.reach().rejected]
    assert (codes, desk.resolver.waiting_count) == (["unknown_reference"], 1)


DAYS = st.sampled_from((0, 1, 3, 4, 8, 100, 179, 180, 181, 188, 195, 300, 1_096, 1_097, 1_280))
LAG_DAYS = st.sampled_from((0, 0, 0, 0, 0.5, 3, 7, 100, 181))
NUMBERS = st.sampled_from(("W1", "W1", "w-1", "W2", "SO-1"))
CARRIERS = st.sampled_from((None, None, "sf", "sto"))
ORDERS = st.sampled_from(("o1", "o2", "o3", None, None, None))


@st.composite
def numbered(draw: st.DrawFn) -> list[Json]:
    """Events that name a number, with an order id or without; some come twice."""
    events: list[Json] = []
    for index in range(draw(st.integers(1, 14))):
        number, order_id, carrier = draw(NUMBERS), draw(ORDERS), draw(CARRIERS)
        at = day(draw(DAYS)) + draw(st.integers(0, 1))
        arrival_at = at + round(draw(LAG_DAYS) * DAY_MS)
        names = {"references": {"erp": number}} if number == "SO-1" else {"waybill": number}
        event = sent("SCAN", at, arrival_at, event_id=f"e{index}", source="carrier:x", **names)
        del event["order_id"]
        event |= {"order_id": order_id} if order_id else {}
        event |= {"carrier": carrier} if carrier else {}
        events.append(event)
    for event in draw(st.lists(st.sampled_from(events), max_size=2)):
        arrival_at = arrival_of(event) + draw(st.sampled_from((0, 1, 3 * DAY_MS)))
        events.append(event | {"recorded_at": format_instant(arrival_at)})
    return events


@settings(max_examples=int(os.environ.get("ORDERTIDE_EXAMPLES", "150")))
@given(numbered(), st.data())
def test_answers_are_those_of_the_reference_whatever_is_read_first(
    events: list[Json], data: st.DataObject
) -> None:
    desk, left, end = Desk(), list(data.draw(st.permutations(events))), day(1_500)
    while left:
        desk.hear(left.pop())
        if data.draw(st.booleans()):
            desk.resolver.advance(min(map(arrival_of, left), default=end) - 1, desk.answers)
        if data.draw(st.booleans()):
            desk.restart()
    desk.resolver.advance(end, desk.answers)
    asked = reference_numbers.resolved(LIFECYCLE, events, end)
    assert sorted(desk.given()) == sorted(
        (order_id, question.event["event_id"], question.given_at)
        for question in asked
        for order_id in question.given
    )
    refused = [(each.fact.event_id, each.reason.code) for each in desk.answers.rejected]
    expected = [(each.event["event_id"], each.refused) for each in asked if each.refused]
    assert sorted(refused) == sorted(each for each in expected if each[1] != "duplicate")
    assert desk.answers.duplicates == len(expected) - len(refused)
