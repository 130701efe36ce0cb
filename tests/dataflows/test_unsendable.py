"""Outputs that a topic doesn't take become dead letters, and the flow continues."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.consume import read_all
from broker.embedded import EmbeddedBroker
from broker.message_limits import MessageLimits
from broker.produce import Producer
from commands.wiring.track_metrics import TrackMetrics
from dataflows.core.routing import SHARDS
from dataflows.output_messages import Block, Headers, Outgoing
from dataflows.sink import KafkaSinkPart
from dataflows.state.local.sqlite import SqliteShardStore
from dataflows.unsendable import OUTPUTS, dead_letter_of
from schemas import topics
from schemas.settings.model import TelemetrySettings
from telemetry.metrics import total

LARGE = b"{" + b"x" * 1_200_000 + b"}"


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[TrackMetrics]:
    with TrackMetrics(TelemetrySettings(port=0), lambda: 0, tmp_path / "shards.sqlite") as running:
        yield running


@pytest.fixture
def part(tmp_path: Path, watch: TrackMetrics) -> Iterator[tuple[KafkaSinkPart, EmbeddedBroker]]:
    with EmbeddedBroker() as broker:
        for topic in topics.TOPICS:
            broker.create(topic.name)
        store = SqliteShardStore(tmp_path / "shards.sqlite", len(SHARDS))
        limits = MessageLimits(broker.connection, OUTPUTS)
        with Producer(broker.connection) as producer:
            yield KafkaSinkPart(producer, limits, store, lambda: False, watch), broker
        store.close()


@pytest.mark.parametrize(
    "topic",
    [topics.ORDERS_CHANGES, topics.ORDERS_EVENTS, topics.ORDERS_AUDIT, topics.ORDERS_ACTIONS],
)
def test_an_output_over_the_producers_limit_is_a_dead_letter_that_says_so(
    part: tuple[KafkaSinkPart, EmbeddedBroker],
    watch: TrackMetrics,
    topic: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink, broker = part
    clock: Headers = [("clock", b"1")]
    sink.write_batch([[Block(topic, [("o1", LARGE, clock), ("o2", b"{}", None)])]])
    sink.write_batch([[Outgoing(topic, b"o1", LARGE, clock), Outgoing(topic, b"o2", b"{}", clock)]])
    sink.snapshot()
    assert sorted((m.key, m.headers) for m in read_all(broker.connection, topic)) == [
        (b"o2", []),
        (b"o2", clock),
    ]
    letters = list(read_all(broker.connection, topics.EVENTS_REJECTED))
    assert len(letters) == total(watch.metrics.outputs_unsendable) == 2
    headers = dict(letters[0].headers)
    assert headers[topics.HEADER_CODE] == b"output_too_large"
    assert headers[topics.HEADER_TOPIC] == topic.encode()
    assert headers[topics.HEADER_SIZE] == b"1200002"
    reason = (headers[topics.HEADER_REASON] or b"").decode()
    assert f"{topic}: the output for key o1 has 12" in reason
    assert "at most 1000000; raise its max.message.bytes" in reason
    assert (letters[0].key, letters[0].value) == (b"o1", b"")
    assert len([record for record in caplog.records if "output for key" in record.message]) == 1


def test_a_letter_shows_a_long_or_strange_key_cut_and_escaped() -> None:
    letter = dead_letter_of(Outgoing("t", b"\x1b[2J" + b"k" * 2_000, b"v", []), 5, None)
    reason = dict(letter.headers)[topics.HEADER_REASON] or b""
    assert letter.key is None
    assert b"key \\x1b[2Jkkk" in reason
    assert len(reason) < 250
