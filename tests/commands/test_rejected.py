"""`ordertide rejected` over the embedded broker."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from broker.consume import Headers, read_all
from broker.embedded import EmbeddedBroker
from broker.produce import Producer
from commands.rejected import command
from schemas import topics

BROKEN = b'{"event_id": \x1b['
UNKNOWN = b'{"status_code":"LOST_IN_SPACE"}'


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    """A broker with four letters: two from `events`, a large one, one of a tier's writer."""
    with EmbeddedBroker() as running:
        for topic in topics.TOPICS:
            running.create(topic.name)
        with Producer(running.connection) as producer:
            put(producer, "malformed_json", BROKEN)
            put(producer, "unknown_status", UNKNOWN)
            put(producer, "too_large", b"", extra=[(topics.HEADER_SHA256, b"ab12")])
            put(producer, "wrong_key", b"{}", topic=topics.ORDERS_CHANGES)
        yield running


def put(
    producer: Producer,
    code: str,
    value: bytes,
    topic: str = topics.EVENTS,
    extra: Headers | None = None,
) -> None:
    headers: Headers = [
        (topics.HEADER_CODE, code.encode()),
        (topics.HEADER_REASON, f"why {code}".encode()),
        (topics.HEADER_TOPIC, topic.encode()),
        (topics.HEADER_PARTITION, b"2"),
        (topics.HEADER_OFFSET, b"17"),
    ]
    producer.send(topics.EVENTS_REJECTED, b"key", value, [*headers, *(extra or [])])


def run(broker: EmbeddedBroker, tmp_path: Path, *arguments: str) -> str:
    settings = tmp_path / "settings.toml"
    settings.write_text(f'[broker]\nbootstrap = "{broker.bootstrap}"\nembedded = true\n')
    result = CliRunner().invoke(command, [*arguments, "--settings", str(settings)])
    assert result.exit_code == 0, result.output
    return result.output


def events(broker: EmbeddedBroker) -> set[bytes | None]:
    return {message.value for message in read_all(broker.connection, topics.EVENTS)}


def test_each_code_is_listed_with_its_reason_and_place(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    said = run(broker, tmp_path, "list")
    assert "unknown_status: why unknown_status" in said
    assert "events [2] 17: " + UNKNOWN.decode() in said
    assert "       1  malformed_json" in said


def test_a_listed_original_cannot_steer_the_terminal(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    assert "\x1b" not in run(broker, tmp_path, "list")


def test_originals_go_back_to_events_byte_for_byte(broker: EmbeddedBroker, tmp_path: Path) -> None:
    said = run(broker, tmp_path, "replay")
    assert "2 written to events" in said
    assert "2 left alone" in said
    assert events(broker) == {BROKEN, UNKNOWN}


def test_a_replay_can_be_limited_to_a_code(broker: EmbeddedBroker, tmp_path: Path) -> None:
    assert "1 written" in run(broker, tmp_path, "replay", "--code", "unknown_status")
    assert events(broker) == {UNKNOWN}
