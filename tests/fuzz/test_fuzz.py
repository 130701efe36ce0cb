"""Whatever is sent, nothing stops, every message has one fate, and what comes out can be carried.

`make fuzz` runs the same for as long as one likes.
"""

import json
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.clock import ClockKind
from broker.consume import Message
from broker.embedded import EmbeddedBroker
from broker.produce import Producer
from dataflows.core.fact import Fact, decode_facts
from dataflows.core.shard import Shard
from dataflows.output_messages import Outgoing
from schemas import topics
from schemas.instants import DAY_MS
from schemas.sanitization import CONTROL, texts
from tests.fuzz.messages import messages
from tests.fuzz.pipeline import NOW_AT, RULES, TABLE, Pipeline

# Half a minute of CPU, on a crowded machine five; cut off in an example, hypothesis calls it flaky.
pytestmark = pytest.mark.timeout(400)
EXAMPLES = int(os.environ.get("ORDERTIDE_FUZZ_EXAMPLES", "100"))
MAX_MESSAGE_BYTES = 1_000_000
KINDS: tuple[ClockKind, ...] = ("recorded", "broker")
fuzzed = settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as running:
        yield running


@fuzzed
@given(received=messages(), kind=st.sampled_from(KINDS), cut=st.integers(0, 30))
def test_nothing_stops_and_every_message_has_one_fate(
    broker: EmbeddedBroker, received: list[Message], kind: ClockKind, cut: int
) -> None:
    with Pipeline(broker.connection, kind) as pipeline:
        for part in (received[:cut], received[cut:]):
            pipeline.apply(pipeline.take(part), pipeline.clock.watermark)
            pipeline.check_conservation()
            pipeline.restart()
        pipeline.apply(pipeline.take([]), NOW_AT)
        pipeline.check_conservation()
    assert not pipeline.decoder.faults.logged, "a fault of ordertide itself"
    for outgoing in pipeline.sent:
        check_carried(outgoing)


def check_carried(outgoing: Outgoing) -> None:
    """Check the guarantees for every reader of the topics."""
    assert len(outgoing.value or b"") <= MAX_MESSAGE_BYTES
    if outgoing.topic == topics.EVENTS_REJECTED or outgoing.value is None:
        return
    found = json.loads(outgoing.value, parse_constant=refuse)
    if isinstance(found.get("event"), dict):
        found["event"].pop("personal", None)
    assert not any(CONTROL.search(text) for text in texts(found) if text != outgoing.topic)


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


@fuzzed
@given(received=messages(), data=st.data())
def test_what_passes_folds_to_the_same_orders_in_any_sequence(
    broker: EmbeddedBroker, received: list[Message], data: st.DataObject
) -> None:
    with Pipeline(broker.connection, "broker") as pipeline:
        batch = pipeline.take(received)
    facts = [
        *batch.facts,
        *(fact for _, made in batch.made for fact in decode_facts(made.packed())),
    ]
    expected = folded([facts])
    permuted = data.draw(st.permutations(facts))
    cut = data.draw(st.integers(0, len(facts)))
    assert folded([permuted[:cut], permuted[cut:]]) == expected
    assert folded([[fact] for fact in permuted]) == expected


def folded(parts: list[list[Fact]]) -> dict[str, bytes | None]:
    """The orders after facts that came in parts, before the clock reached them."""
    cold: dict[str, bytes] = {}
    shard = Shard(TABLE, RULES, cold)
    for part in parts:
        shard.offer(part)
        shard.advance(0)
    shard.advance(NOW_AT - 10 * DAY_MS)
    cold |= {key: row for key, row in shard.take_cold_rows() if row is not None}
    return {key: shard.document(key, row) for key, row in {**cold, **shard.orders()}.items()}


@settings(max_examples=3, suppress_health_check=list(HealthCheck))
@given(received=messages(max_size=100))
def test_a_broker_takes_everything_that_comes_out(
    broker: EmbeddedBroker, received: list[Message]
) -> None:
    with Pipeline(broker.connection) as pipeline:
        pipeline.apply(pipeline.take(received), NOW_AT)
    for topic in topics.TOPICS:
        broker.create(topic.name)
    with Producer(broker.connection) as producer:
        for sent in pipeline.sent:
            producer.send(sent.topic, sent.key, sent.value, sent.headers)
