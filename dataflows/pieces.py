"""What travels between the steps: one piece a shard and batch, never one an event."""

from typing import NamedTuple

import msgspec

from dataflows.core.fact import Fact
from dataflows.core.resolve import Question, Registration
from schemas.errors import Rejected


class Dead(msgspec.Struct, array_like=True):
    """A message for the dead letters: its bytes as they came, why, and where it lies."""

    data: bytes
    key: bytes | None
    code: str
    reason: str
    topic: str
    partition: int
    offset: int


class OrderPiece(msgspec.Struct, array_like=True):
    """For an order shard: facts, and how far the clock of a slot has come (-1: says nothing)."""

    shard: str
    slot: int
    through: int
    facts: list[Fact]
    dead: list[Dead]


class NumberPiece(msgspec.Struct, array_like=True):
    """For a resolver shard: registrations before questions, and the clock of a slot."""

    shard: str
    slot: int
    through: int
    registrations: list[Registration]
    questions: list[Question]


class Batch(NamedTuple):
    """What a slot read in one epoch. `through` holds for everything read in the epochs before."""

    slot: int
    through: int
    facts: list[Fact]
    registrations: list[Registration]
    questions: list[Question]
    dead: list[Dead]


def dead_fact(fact: Fact, reason: Rejected) -> Dead:
    """The dead letter of a fact that was rejected after its message had been read."""
    key = fact.key.encode() or None
    return Dead(fact.raw, key, reason.code, reason.reason, fact.topic, fact.partition, fact.offset)
