"""A placeholder is no number, and a number of too many orders leads to none of them."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataflows.core import resolve
from dataflows.core.compiled import hash_of
from dataflows.core.intake import Intake, Origin
from dataflows.core.lifecycle_check import parse_lifecycle
from dataflows.core.questions import Answers, question, registrations
from dataflows.core.resolve import Resolver
from dataflows.decoding import Decoder
from dataflows.definition_files import read_rules
from schemas.errors import Rejected
from schemas.event import Event, decode_event
from schemas.instants import DAY_MS
from tests import reference, reference_numbers
from tests.support.generators import arrival_of
from tests.support.stage import Json, day, json_of, sent

SHIPPED = Path(__file__).resolve().parents[2] / "dataflows" / "core" / "lifecycle.toml"
# A limit that hypothesis reaches.
TEXT = SHIPPED.read_text("utf-8").replace("orders_per_number = 50", "orders_per_number = 3")
TABLE = parse_lifecycle(TEXT, "lifecycle.toml")
MOST = TABLE.numbers.max_orders
DECODER = Decoder(
    Intake(TABLE, read_rules(None, TABLE)), lambda data, _: data, lambda data, _: data
)


class Desk:
    """A resolver behind the decoder; restarted from its snapshots on request."""

    def __init__(self) -> None:
        self.resolver = self.new()
        self.kept: list[Any] = []
        self.answers = Answers()
        self.refused: dict[str, list[str]] = {}
        self.latest_at = 0

    @staticmethod
    def new() -> Resolver:
        return Resolver(TABLE.numbers.forget_after_ms, MOST)

    def read(self, event: Json) -> None:
        decoded = decode_event(json_of(event))
        assert isinstance(decoded, Event)
        self.latest_at = max(self.latest_at, arrival_of(event))
        try:
            found = DECODER.decode(decoded, b"", arrival_of(event), Origin("t", 0, 0))
        except Rejected as reason:
            self.refused[event["event_id"]] = [reason.code]
            return
        self.resolver.offer(found.registrations, [found.question] if found.question else [])

    def restart(self) -> None:
        self.kept.append(self.resolver.snapshot(base=not self.kept))
        self.resolver = self.new()
        self.resolver.restore(self.kept)

    def reach(self) -> None:
        """Let the watermark reach everything that was read."""
        self.resolver.advance(self.latest_at, self.answers)

    def found(self) -> dict[str, list[str]]:
        """By event its orders, or the code of its refusal; without what waits."""
        self.reach()
        found = dict(self.refused)
        found |= {each.fact.event_id: [each.reason.code] for each in self.answers.rejected}
        for fact in self.answers.facts:
            found.setdefault(fact.event_id, []).append(fact.key)
        return {event_id: sorted(each) for event_id, each in found.items()}


def order(name: str, at: int, number: str) -> Json:
    return sent("PAID", at, order_id=name, references={"erp": number}, event_id=f"{name}@{at}")


def asks(at: int, number: str, **fields: Any) -> Json:  # noqa: ANN401 - any field of an event
    event_id = f"{fields.get('source', 'question')}@{at}"
    event = sent("PAID", at, references={"erp": number}, event_id=event_id, **fields)
    return reference.without(event, "order_id")


NAMES = st.sampled_from([f"o{number}" for number in range(8)])
NUMBERS = st.sampled_from(("SO-1", "SO-2", "N/A", " n/a", "0", "-"))
DAYS = st.sampled_from((0, 1, 100, 180, 181, 200, 360, 361))
STEPS = st.lists(st.tuples(DAYS, NAMES | st.none(), NUMBERS, st.booleans()), max_size=30)


@pytest.mark.parametrize("crowd_bytes", [0, resolve.CROWD_BYTES])
@given(steps=STEPS, data=st.data())
def test_what_a_question_leads_to_is_what_the_reference_says(
    crowd_bytes: int, steps: list[tuple[int, str | None, str, bool]], data: st.DataObject
) -> None:
    events = [
        order(name, day(on) + index % 3, number)
        if name
        else asks(day(on) + index % 3, number, source=f"erp{index}")
        for index, (on, name, number, _) in enumerate(steps)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resolve, "CROWD_BYTES", crowd_bytes)
        desk = Desk()
        left = data.draw(st.permutations(events))
        for _, _, _, is_last in steps:
            desk.read(left.pop())
            earliest = min(map(arrival_of, left), default=day(400))
            desk.resolver.advance(earliest - 1, desk.answers)
            if is_last:
                desk.restart()
        desk.resolver.advance(day(400), desk.answers)
        found = desk.found()
    expected: dict[str, list[str]] = {}
    for asked in reference_numbers.resolved(tomllib.loads(TEXT), events, day(400)):
        expected[asked.event["event_id"]] = asked.given or [asked.refused]
    assert found == expected


@given(st.permutations([f"o{number}" for number in range(MOST + 2)]), st.integers(0, MOST + 2))
def test_the_limit_counts_arrivals_and_not_the_order_of_reading(
    names: list[str], registered: int
) -> None:
    desk = Desk()
    for name in names:
        desk.read(order(name, day(1) if names.index(name) < registered else day(3), "SO-1"))
    desk.read(asks(day(2), "SO-1"))
    (found,) = desk.found().values()
    if registered > MOST:
        assert found == ["ambiguous_reference"]
    else:
        assert found != ["ambiguous_reference"]


def test_the_limit_counts_orders_for_as_long_as_their_number_is_kept() -> None:
    desk = Desk()
    for number in range(MOST + 1):
        desk.read(order(f"o{number}", day(0), "SO-1"))
    desk.read(asks(day(200), "SO-1"))  # a waybill would be forgotten by then
    (found,) = desk.found().values()
    assert found == ["ambiguous_reference"]


def test_a_registration_is_never_refused_and_the_order_takes_its_own_events() -> None:
    desk = Desk()
    for number in range(MOST * 3):
        desk.read(order(f"o{number}", day(1), "SO-1"))
    desk.reach()
    assert not desk.answers.rejected
    assert not desk.refused


def test_a_number_of_too_many_orders_is_named_with_the_remedy() -> None:
    desk = Desk()
    for number in range(MOST + 1):
        desk.read(order(f"o{number}", day(1), "CONSTANT"))
    desk.read(asks(day(2), "CONSTANT"))
    desk.reach()
    (refused,) = desk.answers.rejected
    assert refused.reason.code == "ambiguous_reference"
    assert "'CONSTANT' is a number of over 3 orders" in refused.reason.reason
    assert "placeholders in the lifecycle file" in refused.reason.reason


@pytest.mark.parametrize("number", ["N/A", "n/a ", "0", "-", "none", "未知"])
@pytest.mark.parametrize("field", ["waybill", "references"])
def test_a_placeholder_alone_names_no_order(field: str, number: str) -> None:
    named = {"waybill": number} if field == "waybill" else {"references": {"erp": [number]}}
    desk = Desk()
    desk.read(reference.without(sent("PAID", day(1), event_id="q", **named), "order_id"))
    assert desk.refused == {"q": ["placeholder_reference"]}


def test_beside_a_placeholder_a_number_leads_to_its_order() -> None:
    desk = Desk()
    desk.read(order("o1", day(0), "SO-1"))
    asked = sent("PAID", day(1), event_id="q", waybill="N/A", references={"erp": ["-", "SO-1"]})
    desk.read(reference.without(asked, "order_id"))
    assert desk.found() == {"q": ["o1"]}


def test_events_that_wait_are_bounded_by_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataflows.core.resolve.MAX_WAITING_BYTES", 1_000)
    resolver, answers = Resolver(), Answers()
    for number in range(4):
        event = decode_event(json_of(asks(day(1) + number, f"SO-{number}")))
        assert isinstance(event, Event)
        fact = DECODER.intake.fact(event, "", b"x" * 400, day(1), Origin("t", 0, number))
        resolver.offer([], [question(event, fact)])
    resolver.advance(day(1), answers)
    assert (resolver.waiting_count, resolver.waiting_bytes) == (2, 800)
    assert {each.reason.code for each in answers.rejected} == {"waiting_full"}
    again = Resolver()
    again.restore([resolver.snapshot(base=True)])
    assert again.waiting_bytes == 800
    resolver.advance(day(1) + 8 * DAY_MS, answers)
    assert resolver.waiting_bytes == 0


def test_a_crowded_number_outlives_a_restart_with_all_its_orders() -> None:
    desk = Desk()
    for number in range(200):
        desk.read(order(f"o{number}", day(1) + number, "SO-1"))
        if number % 50 == 0:
            desk.reach()
            desk.restart()
    desk.reach()
    desk.restart()
    event = decode_event(json_of(order("o0", day(1), "SO-1")))
    assert isinstance(event, Event)
    (registered,) = registrations(event, event.at, day(1))
    assert len(desk.resolver.numbers.get(hash_of(registered.number))) == 200
