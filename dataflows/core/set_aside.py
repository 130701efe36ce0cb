"""Orders set aside: what the evaluation of one order raises stops that order and no other.

Its stored bytes stay as they were before the arrival that raised; that arrival's facts and all
later ones wait with it. The mark is part of the shard's state, so that neither a restart nor a
replay of the epoch tries it again. When it is released, its facts are applied arrival by arrival,
deadlines between, so that it ends as if it had never been set aside.
"""

import traceback

import msgspec

from dataflows.core.fact import Fact
from schemas.display import printable
from schemas.errors import StoreUnavailable

INTERNAL_FAULT = "internal_fault"
REASON_CHARACTERS, TRACE_CHARACTERS = 300, 20_000


class Fault(msgspec.Struct, array_like=True, frozen=True):
    """Fault of an order's evaluation: the order's key, the reason in one line, the trace.

    With `is_preview` it concerned the live document alone, ahead of the watermark.
    """

    key: str
    reason: str
    trace: str
    is_preview: bool = False


class SetAside(msgspec.Struct, array_like=True):
    """An order set aside since `since_at`, the arrival or deadline (ms) that raised.

    `digest` names the rules and lifecycle in force then, `facts` are those that wait, `releases` is
    how often it was released and raised again.
    """

    since_at: int
    reason: str
    digest: str
    facts: list[Fact]
    releases: int = 0


# Faults of the process, not of one order or number: these stop the flow.
UNBLAMED = (StoreUnavailable, MemoryError, OSError)


def fault_of(key: str, error: Exception, *, is_preview: bool = False) -> Fault:
    """The fault of an exception: its type, its message and the place that raised it."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    parts = "/".join(place.filename.split("/")[-3:])
    text = printable(f"{type(error).__name__}: {error}")[:REASON_CHARACTERS]
    trace = "".join(traceback.format_exception(error))[-TRACE_CHARACTERS:]
    return Fault(key, f"{text} ({parts}:{place.lineno}, {place.name})", trace, is_preview)
