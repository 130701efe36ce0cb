"""Rejected: what could not be taken, why, and trying it again after a fix.

The topic events.rejected is read as it is now, at most its last 100,000 messages. A caller of one
tenant sees the letters whose original names that tenant; one that can't be read is for callers of
the whole installation.
"""

import asyncio
import heapq
import logging
from collections import Counter
from collections.abc import Iterator
from typing import Annotated

import msgspec
from msgspec import Meta

from broker.consume import Message
from broker.produce import Record
from gateway.asked import instant_in
from gateway.dead_letters import LetterQuery, Letters, is_original, original_headers
from gateway.problems import Problem
from gateway.route import Call
from privacy.keys import KeyErased
from privacy.originals import SEALED_WHOLE
from schemas.display import printable
from schemas.errors import SettingsError
from schemas.instants import format_instant
from storage_tiering.dead_letters import DeadLetter

LOGGER = logging.getLogger("ordertide.gateway")
MOST_READ = 100_000
MOST_ON_A_PAGE = 200
MOST_SKIPPED = 10_000
MOST_NAMED = 1_000
SAMPLE_BYTES = 120
BATCH = 500
CONFIRMED_WITHIN_S = 30.0


class LettersAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Letters with this code and source, rejected in a range of time: from inclusive, to exclusive.

    `source` is what the original names, as far as it can be read.
    """

    code: str | None = None
    source: str | None = None
    rejected_from: str | None = None
    rejected_to: str | None = None


class RejectedAsked(LettersAsked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of letters."""

    skip: Annotated[int, Meta(ge=0, le=MOST_SKIPPED)] = 0
    limit: Annotated[int, Meta(ge=1, le=MOST_ON_A_PAGE)] = 50


class Place(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Place of a letter in events.rejected."""

    partition: Annotated[int, Meta(ge=0, le=2**31 - 1)]
    offset: Annotated[int, Meta(ge=0, le=2**63 - 1)]


class ReplayAsked(LettersAsked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The letters to be sent again: single ones or by a filter; with `dry_run` they are counted."""

    letters: Annotated[list[Place], Meta(min_length=1, max_length=MOST_NAMED)] | None = None
    dry_run: bool = False


class LetterView(msgspec.Struct, frozen=True, kw_only=True):
    """A rejected message, with its place in events.rejected and that of its original.

    `sample` is the beginning of the original, empty where that is sealed.
    """

    partition: int
    offset: int
    at: str
    code: str
    reason: str
    origin_topic: str | None
    origin_partition: int | None
    origin_offset: int | None
    size_bytes: int
    identifiers: dict[str, str]
    can_be_replayed: bool
    sample: str


class RejectedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A page of letters, the newest first, and the numbers of all that match, by code.

    `whole` is false where older letters were not read; `next` is the `skip` of the next page.
    """

    counts: dict[str, int]
    letters: list[LetterView]
    whole: bool
    next: int | None


class ReplayAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of letters, by what became of them, or with `dry_run` would.

    `replayed` are in `events` again. `left_alone` were too large or not from `events`; of `erased`
    the customer's key is gone, of `sealed` it isn't on the gateway's host.
    """

    dry_run: bool
    replayed: int
    left_alone: int
    erased: int
    sealed: int
    whole: bool


async def rejected(call: Call) -> RejectedAnswer:
    """Rejected messages, the newest first, with their codes, reasons and counts by code."""
    asked = call.asked
    letters = Letters(call.gateway.follower.connection, MOST_READ)
    query = query_of(call)

    def read() -> tuple[Counter[str], list[LetterView]]:
        counts = Counter[str]()

        def counted() -> Iterator[tuple[tuple[int, int, int], LetterView]]:
            for letter, message in letters.meeting(query):
                counts[letter.code] += 1
                place = letter.position
                yield (letter.at, place.partition, place.offset), view_of(letter, message)

        most = asked.skip + asked.limit
        newest = heapq.nlargest(most, counted(), key=lambda each: each[0])
        return counts, [view for _, view in newest[asked.skip :]]

    counts, page = await asyncio.to_thread(read)
    end = asked.skip + asked.limit
    return RejectedAnswer(
        counts=dict(counts.most_common()),
        letters=page,
        whole=letters.is_whole,
        next=end if end < counts.total() else None,
    )


async def replay(call: Call) -> ReplayAnswer:
    """Send originals to `events` again, as they came; what is still wrong is rejected again."""
    asked = call.asked
    if not any((asked.letters, asked.code, asked.source, asked.rejected_from, asked.rejected_to)):
        raise Problem(
            "bad_field",
            "letters: name some, or a filter: code, source, rejected_from, rejected_to",
            field="letters",
        )
    letters, query = Letters(call.gateway.follower.connection, MOST_READ), query_of(call)
    counts = await asyncio.to_thread(lambda: sent_again(call, letters, query))
    LOGGER.info("replay of rejected: %s", dict(counts), extra={"request_id": call.request_id})
    return ReplayAnswer(
        dry_run=asked.dry_run,
        replayed=counts["replayed"],
        left_alone=counts["left_alone"],
        erased=counts["erased"],
        sealed=counts["sealed"],
        whole=letters.is_whole,
    )


def sent_again(call: Call, letters: Letters, query: LetterQuery) -> Counter[str]:
    """Send the originals of letters in batches, each confirmed; numbers by what became of them.

    Raises:
        Busy: the broker doesn't confirm a batch; send them again, they count once.
    """
    counts = Counter[str]()
    batch: list[Record] = []
    for _, message in letters.meeting(query):
        outcome, record = original_of(call, message)
        counts[outcome] += 1
        if record is not None and not call.asked.dry_run:
            batch.append(record)
        if len(batch) == BATCH:
            call.gateway.ingest.send_again(batch).result(CONFIRMED_WITHIN_S)
            batch = []
    if batch:
        call.gateway.ingest.send_again(batch).result(CONFIRMED_WITHIN_S)
    return counts


def original_of(call: Call, message: Message) -> tuple[str, Record | None]:
    """(what becomes of a letter, its original to be sent)."""
    if not is_original(message):
        return "left_alone", None
    try:
        value = call.gateway.originals.opened(message)
    except KeyErased:
        return "erased", None
    except SettingsError:
        return "sealed", None
    return "replayed", Record(message.key, value, original_headers(message))


def query_of(call: Call) -> LetterQuery:
    """The letters that are asked for, of those that the caller may see.

    Raises:
        Problem: `bad_field`, an instant that is none.
    """
    asked = call.asked
    named = getattr(asked, "letters", None)
    return LetterQuery(
        places=frozenset((each.partition, each.offset) for each in named) if named else None,
        code=asked.code,
        source=asked.source,
        since=instant_in(asked, "rejected_from"),
        until=instant_in(asked, "rejected_to"),
        tenant=call.caller.tenant,
    )


def view_of(letter: DeadLetter, message: Message) -> LetterView:
    """A letter as it is answered."""
    value = message.value or b""
    is_sealed = value.startswith(SEALED_WHOLE)
    return LetterView(
        partition=letter.position.partition,
        offset=letter.position.offset,
        at=format_instant(letter.at),
        code=letter.code,
        reason=printable(letter.reason),
        origin_topic=letter.topic,
        origin_partition=letter.partition,
        origin_offset=letter.offset,
        size_bytes=letter.size_bytes,
        identifiers=letter.identifiers,
        can_be_replayed=is_original(message),
        sample="" if is_sealed else printable(value[:SAMPLE_BYTES].decode("utf-8", "replace")),
    )
