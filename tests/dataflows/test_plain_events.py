"""Plain events: the compiled door takes nearly all that is sent; the source reads the rest."""

import logging
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import msgspec
import pytest

from broker.clock import ClockKind
from broker.consume import Message
from broker.embedded import EmbeddedBroker
from dataflows.core.compiled import Door
from dataflows.core.door import form_of
from dataflows.core.fact import Fact, decode_facts
from dataflows.core.intake import Intake
from dataflows.decoding import Decoder, Links
from dataflows.definition_files import read_lifecycle, read_rules
from dataflows.exchange import Batch
from examples.cargo2000 import adapter as cargo2000
from examples.olist import adapter as olist
from loadgen.options import Amount, Times, plan_of
from loadgen.plan import Shares
from loadgen.stream import Stream
from loadgen.text import Text
from schemas import topics
from schemas.errors import Rejected
from schemas.event import Event
from schemas.instants import DAY_MS, SECOND_MS, format_instant
from tests.field.case import HERE as FIELD
from tests.fuzz.messages import START_AT
from tests.fuzz.pipeline import RULES, TABLE, Pipeline
from tests.support.both_doors import compiled, decoded, decoder_of

Json = dict[str, Any]
ROOM = olist.SAMPLE.parent.parent / "cargo2000"


def load(amount: Amount, length: str) -> Iterator[bytes]:
    times = Times("2026-01-01T00:00:00Z", length, None, "10m", 3.0)
    plan = plan_of(amount, times, Shares(), seed=7, is_daily=None)
    text = Text("L7", plan.scale, recorded=True)
    return (text.value(sent) for _, slice_ in Stream(plan).slices() for sent in slice_)


def field_cases() -> Iterator[bytes]:
    files = sorted(FIELD.glob("*/events.ndjson"))
    return chain.from_iterable(file.read_bytes().splitlines() for file in files)


SHIPPED = decoder_of(Intake(TABLE, RULES))
AIR_FREIGHT = read_lifecycle(ROOM / "lifecycle.toml")
AIR = decoder_of(Intake(AIR_FREIGHT, read_rules(ROOM / "rules.toml", AIR_FREIGHT)))
# (decoder, messages, at least so many of them are taken). A thousandth of a load is malformed; the
# field cases are what went wrong for somebody.
SENT: dict[str, tuple[Decoder, Callable[[], Iterator[bytes]], float]] = {
    "load, lives of real length": (SHIPPED, lambda: load(Amount(20, None, None), "60d"), 0.998),
    "load at a rate": (SHIPPED, lambda: load(Amount(None, 50, 500), "1m"), 0.998),
    "Olist": (SHIPPED, lambda: map(msgspec.json.encode, olist.events()), 1.0),
    "Cargo 2000": (AIR, lambda: map(msgspec.json.encode, cargo2000.events()), 1.0),
    "field cases": (SHIPPED, field_cases, 0.9),
}


@pytest.mark.parametrize("name", sorted(SENT))
def test_nearly_all_that_is_sent_is_taken(name: str) -> None:
    decoder, sent, least = SENT[name]
    values = list(sent())
    assert len(values) > 150
    read = decoder.read_plain([(value, []) for value in values])
    taken = sum(at is not None for at in read.recorded_at) / len(values)
    print(f"{name}: {taken:.2%} of {len(values):,} messages")
    assert taken >= least


@pytest.mark.parametrize("name", sorted(SENT))
def test_what_is_taken_is_what_the_decoder_makes_of_it(name: str) -> None:
    decoder, sent, _ = SENT[name]
    values = list(sent())
    for value in values[:: max(1, len(values) // 2_000)]:
        made = compiled(decoder, value, [])
        assert made is None or made == decoded(decoder, value, [])


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as running:
        yield running


def event(number: int, **fields: object) -> Json:
    return {
        "event_id": f"e{number}",
        "source": "shop",
        "status_code": "PAID",
        "timestamp": format_instant(START_AT + number * SECOND_MS),
        "order_id": f"o{number}",
        **fields,
    }


def sent(*events: Json) -> list[Message]:
    return [
        Message(
            topics.EVENTS,
            0,
            offset,
            START_AT + offset * SECOND_MS,
            b"",
            msgspec.json.encode(one),
            [],
        )
        for offset, one in enumerate(events)
    ]


def facts_of(batch: Batch) -> dict[str, Fact]:
    """All facts of a batch by order."""
    made = [fact for _, facts in batch.made for fact in decode_facts(facts.packed())]
    return {fact.key: fact for fact in (*batch.facts, *made)}


@pytest.mark.parametrize("kind", ["recorded", "broker"])
def test_plain_and_other_messages_arrive_in_the_order_of_their_offsets(
    broker: EmbeddedBroker, kind: ClockKind
) -> None:
    back = {"recorded_at": format_instant(START_AT)}  # before those that were read already
    messages = sent(
        event(0, recorded_at=format_instant(START_AT + 60 * SECOND_MS)),
        event(1, personal={"name": "Li"}, **back),
        event(2, **back),
        event(3, status_code="TELEPORTED", **back),
        event(4, **back),
    )
    with Pipeline(broker.connection, kind) as pipeline:
        batch = pipeline.take(messages)
    facts = facts_of(batch)
    assert len(batch.facts) == 1
    assert [facts[f"o{number}"].offset for number in (0, 1, 2, 4)] == [0, 1, 2, 4]
    assert [dead.code for dead in batch.dead] == ["unknown_status"]
    arrivals = [facts[f"o{number}"].arrival_at - START_AT for number in (0, 1, 2, 4)]
    expected = [60_000, 60_000, 60_000, 60_000] if kind == "recorded" else [0, 1_000, 2_000, 4_000]
    assert arrivals == expected


def test_an_event_from_the_future_is_refused_by_the_decoder(broker: EmbeddedBroker) -> None:
    ahead = format_instant(START_AT + 2 * DAY_MS)
    with Pipeline(broker.connection, "broker") as pipeline:
        batch = pipeline.take(sent(event(0), event(1, timestamp=ahead), event(2)))
    assert [(dead.code, dead.offset) for dead in batch.dead] == [("from_the_future", 1)]
    assert set(facts_of(batch)) == {"o0", "o2"}


def test_links_of_plain_events_are_noted_where_they_matter(broker: EmbeddedBroker) -> None:
    noted: list[str | None] = []
    needed = [False]

    def note(seen: Event) -> None:
        if seen.order_id == "o2":
            raise Rejected("foreign_sealed", "a test")
        noted.append(seen.order_id)

    with Pipeline(broker.connection) as pipeline:
        pipeline.decoder.links = Links(lambda: needed[0], note)
        assert set(facts_of(pipeline.take(sent(event(0))))) == {"o0"}
        needed[0] = True
        batch = pipeline.take(sent(event(1), event(2), event(3)))
    assert noted == ["o1", "o3"]
    assert [(dead.code, dead.offset) for dead in batch.dead] == [("foreign_sealed", 1)]
    assert set(facts_of(batch)) == {"o1", "o3"}


def test_a_binary_cloudevent_is_left_whatever_its_data(broker: EmbeddedBroker) -> None:
    message = sent(event(0))[0]
    binary = message._replace(headers=[("ce_specversion", b"1.0"), ("ce_source", b"elsewhere")])
    other = message._replace(offset=1, headers=[("trace", b"1")])
    with Pipeline(broker.connection) as pipeline:
        batch = pipeline.take([binary, other])
    assert [fact.offset for fact in batch.facts] == [0]
    assert len(batch.made) == 1


def test_a_panic_of_the_compiled_door_is_logged_once_by_its_place(
    caplog: pytest.LogCaptureFixture,
) -> None:
    decoder = decoder_of(Intake(TABLE, RULES))
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            decoder.faults.panicked("core/src/door/making.rs:1:2")
    assert caplog.text.count("panic in core/src/door/making.rs:1:2") == 1


def test_a_form_of_events_with_another_field_is_refused() -> None:
    form = form_of(TABLE, RULES)
    for fields in (form.fields | {"weight"}, form.fields - {"carrier"}):
        with pytest.raises(ValueError, match="an event or the compiled door lacks it"):
            Door(form._replace(fields=fields))
