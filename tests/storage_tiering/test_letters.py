"""Dead letters in the warm tier: counted by reason and sender, without what they hold."""

import logging
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from schemas.errors import Busy
from schemas.instants import DAY_MS, format_instant
from schemas.topics import HEADER_CODE, HEADER_SIZE
from storage_tiering.dead_letters import IDENTIFIERS, DeadLetter, DeadLetterTier, dead_letter_of
from storage_tiering.memory import MemoryTier
from storage_tiering.warm.elastic import templates as elastic_templates
from storage_tiering.warm.elastic.access import connect
from storage_tiering.warm.elastic.tier import ElasticTier
from storage_tiering.writer import Writer
from tests.support.tiers.elastic_places import shared_place
from tests.support.tiers.log_file import LetterBox, LogReader
from tests.support.tiers.orders import Log, LogMessage, dead_letter, document, message

AT = 1_790_000_000_000
ORIGINAL = b'{"source": "carrier:sf", "order_id": "A-1", "event_id": 7, "personal": {"name": "Li"}}'


@pytest.fixture
def tier() -> Iterator[ElasticTier]:
    with shared_place() as (url, prefix):
        found = ElasticTier(connect(url), prefix)
        yield found
        found.close()


def held(tier: ElasticTier) -> list[dict[str, object]]:
    assert tier.flush(force=True)
    said = tier.client.search(index=tier.names.rejected("*"), sort=[{"@timestamp": "asc"}])
    return [hit["_source"] for hit in said["hits"]["hits"]]


def test_a_letter_says_why_where_from_and_who_but_not_what_the_message_holds() -> None:
    letter = dead_letter_of(dead_letter("no_order", ORIGINAL, at=AT))
    assert (letter.code, letter.reason, letter.at) == ("no_order", "for a reason", AT)
    assert (letter.topic, letter.partition, letter.offset) == ("events", 3, 42)
    assert letter.identifiers == {"source": "carrier:sf", "order_id": "A-1"}
    assert letter.size_bytes == len(ORIGINAL)
    assert b"Li" not in msgspec.json.encode(letter)


@pytest.mark.parametrize(
    "original",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b"\xff",
        b'"\xff"',
        b'{"source": "\xff"}',
        b"[" * 100_000,
        b'{"source": ""}',
    ],
)
def test_an_original_that_says_nothing_of_itself_is_counted_all_the_same(original: bytes) -> None:
    assert dead_letter_of(dead_letter("malformed_json", original)).identifiers == {}


def test_a_name_as_long_as_a_book_is_left_out() -> None:
    original = msgspec.json.encode({"source": "x" * 201, "tenant": "shop"})
    assert dead_letter_of(dead_letter("unknown_source", original)).identifiers == {"tenant": "shop"}


def test_of_a_large_original_the_size_is_that_of_the_original() -> None:
    letter = dead_letter("too_large", b"")
    letter.headers.append((HEADER_SIZE, b"5000000"))
    assert dead_letter_of(letter).size_bytes == 5_000_000


def test_headers_that_are_missing_or_nonsense_are_no_reason_to_stop() -> None:
    bare = LogMessage("events.rejected", 0, 0, None, b"x", [(HEADER_CODE, b"\xff"), ("a", None)])
    letter = dead_letter_of(bare)
    assert (letter.code, letter.topic, letter.offset) == ("\ufffd", None, None)


class Box(MemoryTier, DeadLetterTier):
    """Remembers letters; busy the first time."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[DeadLetter] = []
        self.is_busy = True

    def write_dead_letters(self, batch: Sequence[DeadLetter]) -> None:
        if self.is_busy:
            self.is_busy = False
            raise Busy("overloaded", retry_after_s=0.001)
        self.taken += batch


def test_a_writer_puts_letters_aside_and_waits_for_their_place(tmp_path: Path) -> None:
    (order,) = [message(record) for record in Log().changes(document("a"))]
    letters = [dead_letter("no_order", offset=n) for n in range(3)]
    reader = LogReader([letters[0], order, *letters[1:]], tmp_path / "position")
    tier, buried = Box(), LetterBox()
    writer = Writer(tier, reader, buried, stop=threading.Event())
    while not reader.is_at_end:
        writer.step()
    assert tier.find("default", "a")
    assert [letter.position.offset for letter in tier.taken] == [0, 1, 2]
    assert reader.committed == 4
    assert not buried.letters, "never a dead letter of a dead letter"


def test_every_field_of_a_letter_has_a_mapping() -> None:
    mapped = elastic_templates.shipped("rejected_fields")["properties"].keys()
    renamed = {"position", "identifiers", "at", "event_id", "source"}
    named = {*DeadLetter.__struct_fields__, *IDENTIFIERS} - renamed
    assert mapped == {"@timestamp", "event", *named}


@pytest.mark.stack
def test_letters_are_kept_once_and_can_be_counted(tier: ElasticTier) -> None:
    letters = [dead_letter_of(dead_letter("no_order", ORIGINAL, n, AT + n)) for n in range(3)]
    tier.write_dead_letters(letters)
    tier.write_dead_letters(letters[1:])
    found = held(tier)
    assert len(found) == 3
    assert found[0] == {
        "@timestamp": format_instant(AT), "code": "no_order", "reason": "for a reason",
        "topic": "events", "partition": 3, "offset": 42, "size_bytes": len(ORIGINAL),
        "event": {"provider": "carrier:sf"}, "order_id": "A-1",
    }  # fmt: skip
    for field, value in {"code": "no_order", "reason": "for a reason"}.items():
        named = {"names": {"terms": {"field": field}}}
        answer = tier.client.search(index=tier.names.rejected("*"), size=0, aggs=named)
        assert [each["key"] for each in answer["aggregations"]["names"]["buckets"]] == [value]
    assert tier.counts().orders == tier.counts().events == 0


@pytest.mark.stack
def test_letters_go_with_their_month_whatever_the_stream_clock_says(tier: ElasticTier) -> None:
    tier.write_dead_letters([dead_letter_of(dead_letter("no_order", at=AT))])
    tier.write_dead_letters([dead_letter_of(dead_letter("late", at=AT + 60 * DAY_MS))])
    tier.expire(AT - 3_000 * DAY_MS)
    assert [each["code"] for each in held(tier)] == ["no_order", "late"]
    tier.write_dead_letters([dead_letter_of(dead_letter("later", at=AT + 130 * DAY_MS))])
    assert [each["code"] for each in held(tier)] == ["late", "later"]


@pytest.mark.stack
def test_a_letter_that_can_not_be_kept_is_logged_and_the_others_are(
    tier: ElasticTier, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad = (dead_letter_of(dead_letter(code, at=AT)) for code in ("good", "bad"))
    bad = msgspec.structs.replace(bad, partition=1 << 40, position=good.position, at=AT + 1)
    with caplog.at_level(logging.WARNING):
        tier.write_dead_letters([bad, good])
    assert [each["code"] for each in held(tier)] == ["good"]
    assert "a dead letter can't be kept" in caplog.text
