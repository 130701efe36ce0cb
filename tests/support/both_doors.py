"""The compiled door beside the decoder: what both make of one message."""

from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

import msgspec

from dataflows.core.intake import Intake, Origin
from dataflows.core.questions import Question, Registration
from dataflows.core.routing import shard_of
from dataflows.decoding import Decoder, Headers, recorded_at
from privacy.keys import MemoryKeyStore
from privacy.originals import seal_rejected
from privacy.seal import seal_event
from schemas.errors import Rejected
from schemas.event import Event

encode = msgspec.msgpack.Encoder().encode
TOPIC, PARTITION, OFFSET = "events", 3, 70_000


class Made(NamedTuple):
    """Result of a message: facts and registrations by shard, and questions, as msgspec packs them.

    `recorded_at` is its arrival in recorded history, in ms.
    """

    facts: list[tuple[int, bytes]]
    registrations: list[tuple[int, bytes]]
    questions: bytes
    recorded_at: int


def decoder_of(intake: Intake) -> Decoder:
    """A decoder that seals under keys of its own."""
    keys = MemoryKeyStore()
    return Decoder(
        intake,
        lambda data, event: seal_event(data, event, keys),
        lambda data, headers: seal_rejected(data, keys, headers),
    )


def compiled(
    decoder: Decoder, data: bytes, headers: Headers, arrival_at: int | None = None
) -> Made | None:
    """Result of the compiled door; None where it leaves a message."""
    read = decoder.read_plain([(data, headers)])
    assert not read.panics
    (at,) = read.recorded_at
    if at is None:
        return None
    arrival_at = at if arrival_at is None else arrival_at
    facts, registrations, questions, left = read.take(TOPIC, PARTITION, [OFFSET], [arrival_at])
    packed = [(shard, made.packed()) for shard, made in facts]
    registered = [(shard, made.packed()) for shard, made in registrations]
    return None if left else Made(packed, registered, questions, at)


def decoded(
    decoder: Decoder, data: bytes, headers: Headers, arrival_at: int | None = None
) -> Made | Rejected:
    """Result of the decoder for a message that the compiled door takes."""
    try:
        event, raw = decoder.read(data, headers)
        assert isinstance(event, Event), "a tick is no plain event"
        at = recorded_at(event)
        arrival_at = at if arrival_at is None else arrival_at
        found = decoder.decode(event, raw, arrival_at, Origin(TOPIC, PARTITION, OFFSET))
    except Rejected as reason:
        return reason
    assert event.dropped_fields is None
    assert not decoder.intake.is_unknown(event)
    fact = found.fact
    facts = [] if fact is None else [(shard_of(fact.key), encode([fact]))]
    questions: list[Question] = [] if found.question is None else [found.question]
    return Made(facts, by_shard(found.registrations), encode(questions), at)


def by_shard(registrations: list[Registration]) -> list[tuple[int, bytes]]:
    """Registrations by the shard of their number."""
    shards = [(shard_of(each.number), each) for each in registrations]
    shards.sort(key=itemgetter(0))
    grouped = groupby(shards, itemgetter(0))
    return [(shard, encode([each for _, each in held])) for shard, held in grouped]
