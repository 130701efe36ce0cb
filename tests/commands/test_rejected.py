"""`ordertide rejected` over the embedded broker."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from broker.consume import Headers, read_all
from broker.embedded import EmbeddedBroker
from broker.produce import Producer
from commands.rejected import command
from privacy.keys import FileKeyStore, MemoryKeyStore
from privacy.originals import seal_rejected
from schemas import topics
from schemas.errors import SettingsError

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
    settings.write_text(
        f'[broker]\nbootstrap = "{broker.bootstrap}"\nembedded = true\n'
        f'[privacy]\nkeys = "{tmp_path / "keys.json"}"\n'
    )
    arguments = (*arguments, "--settings", str(settings))
    result = CliRunner().invoke(command, arguments)
    if isinstance(result.exception, SettingsError):
        raise result.exception
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


CLOUD: Headers = [("ce_specversion", b"1.0"), ("ce_id", b"77"), ("ce_subject", b"o4")]


@pytest.mark.parametrize("value", [b'{"note": "gift"}', b""])
def test_a_binary_cloudevent_goes_back_with_its_headers(
    broker: EmbeddedBroker, tmp_path: Path, value: bytes
) -> None:
    with Producer(broker.connection) as producer:
        put(producer, "gift", value, extra=CLOUD)
    assert "1 written" in run(broker, tmp_path, "replay", "--code", "gift")
    (event,) = read_all(broker.connection, topics.EVENTS)
    assert (event.value, event.headers) == (value, CLOUD)


SECRET = b'{"event_id": "x", "personal": {"name": "Ada"}'


def test_an_original_that_was_sealed_whole_goes_back_opened(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    keystore = FileKeyStore(tmp_path / "keys.json")
    with Producer(broker.connection) as producer:
        put(producer, "malformed_json", seal_rejected(SECRET, keystore))
    keystore.close()
    run(broker, tmp_path, "replay", "--code", "malformed_json")
    assert events(broker) == {BROKEN, SECRET}


def test_an_original_whose_key_is_erased_stays(broker: EmbeddedBroker, tmp_path: Path) -> None:
    keystore = FileKeyStore(tmp_path / "keys.json")
    sealed = seal_rejected(SECRET, keystore)
    keystore.erase("default", keys=[msgspec.json.decode(sealed)["key"]])
    keystore.close()
    with Producer(broker.connection) as producer:
        put(producer, "sealed", sealed)
    shown = run(broker, tmp_path, "replay", "--code", "sealed")
    assert "0 written to events" in shown
    assert "1 left alone: sealed, and the customer's key has been erased" in shown


def test_without_the_key_file_a_sealed_original_is_refused_and_no_key_file_made(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    with Producer(broker.connection) as producer:
        put(producer, "sealed", seal_rejected(SECRET, MemoryKeyStore()))
    with pytest.raises(SettingsError, match=r"keys\.json: no such file"):
        run(broker, tmp_path, "replay", "--code", "sealed")
    assert not (tmp_path / "keys.json").exists()


def test_a_replay_can_be_limited_to_a_code(broker: EmbeddedBroker, tmp_path: Path) -> None:
    assert "1 written" in run(broker, tmp_path, "replay", "--code", "unknown_status")
    assert events(broker) == {UNKNOWN}
