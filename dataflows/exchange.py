"""Exchange between the steps: one piece a shard and batch, never one an event.

bytewax pickles everything that goes to another process. Packed here as one MessagePack message, a
piece costs a third of what pickle takes to walk through its facts.
"""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from dataflows.core.compiled import Facts, Registrations
from dataflows.core.fact import Fact
from dataflows.core.questions import Question, Registration
from dataflows.watermarks import NO_CLAIM
from schemas.errors import Rejected


def packed(made: Facts | Registrations) -> bytes:
    """Bytes of facts or registrations that the compiled door made."""
    return made.packed()


encode = msgspec.msgpack.Encoder(enc_hook=packed).encode


class Dead(msgspec.Struct, array_like=True):
    """A message for the dead letters: its bytes as they came, why, and where it lies.

    `headers` are those of a message that can't be read without them. `data` is None where it can't
    be kept, as personal data in it can't be sealed; `size_bytes` and `sha256` describe it then.
    """

    data: bytes | None
    key: bytes | None
    code: str
    reason: str
    topic: str
    partition: int
    offset: int
    headers: list[tuple[str, bytes | None]] = []
    size_bytes: int = 0
    sha256: str = ""


class OrderPiece(msgspec.Struct, array_like=True):
    """Piece for an order shard: facts, and the watermark of a task (-1: none).

    Up to it the task's questions are resolved, and their facts have come. `claimed` is
    the watermark that its partitions claim (`broker.recorded_clock`). `made` are facts of
    the compiled door.
    """

    shard: str
    task: int
    watermark: int
    facts: list[Fact]
    dead: list[Dead]
    claimed: int = NO_CLAIM
    made: list[Facts] = []

    def __reduce__(self) -> "tuple[Callable[[bytes], OrderPiece], tuple[bytes]]":
        return order_piece, (encode(self),)


class NumberPiece(msgspec.Struct, array_like=True):
    """For a resolver shard: registrations, questions, and the watermark of a task.

    `made` are registrations of the compiled door.
    """

    shard: str
    task: int
    watermark: int
    registrations: list[Registration]
    questions: list[Question]
    made: list[Registrations] = []

    def __reduce__(self) -> "tuple[Callable[[bytes], NumberPiece], tuple[bytes]]":
        return number_piece, (encode(self),)


order_decoder = msgspec.msgpack.Decoder(OrderPiece, dec_hook=lambda made, data: made(data))
number_decoder = msgspec.msgpack.Decoder(NumberPiece, dec_hook=lambda made, data: made(data))


def order_piece(data: bytes) -> OrderPiece:
    """A piece as it was pickled."""
    return order_decoder.decode(data)


def number_piece(data: bytes) -> NumberPiece:
    """A piece as it was pickled."""
    return number_decoder.decode(data)


class Batch(NamedTuple):
    """Batch of a task in one epoch. `watermark` holds for everything read in the epochs before.

    `order_watermark` is the `watermark` that the resolvers had at the end of the epoch before:
    questions that arrived by then are resolved, and their facts are with the orders. `made` are
    (order shard, facts) and `made_numbers` (resolver shard, registrations) of the compiled door.
    """

    task: int
    watermark: int
    facts: list[Fact]
    registrations: list[Registration]
    questions: list[Question]
    dead: list[Dead]
    made: list[tuple[int, Facts]]
    made_numbers: list[tuple[int, Registrations]]
    claimed: int = NO_CLAIM
    order_watermark: int = -1


def dead_fact(fact: Fact, reason: Rejected) -> Dead:
    """The dead letter of a fact that was rejected after its message had been read."""
    key = fact.key.encode() or None
    return Dead(fact.raw, key, reason.code, reason.reason, fact.topic, fact.partition, fact.offset)
