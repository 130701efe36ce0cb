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
from schemas.errors import Rejected, StoreUnavailable

INTERNAL_FAULT = "internal_fault"
MAX_WAITING_PER_ORDER = 1_000
MAX_WAITING = 20_000  # facts of a shard
REASON_CHARACTERS, TRACE_CHARACTERS = 300, 20_000


class Fault(msgspec.Struct, array_like=True, frozen=True):
    """What the evaluation of an order raised: the order's key, the reason in one line, the trace.

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
    said = printable(f"{type(error).__name__}: {error}")[:REASON_CHARACTERS]
    trace = "".join(traceback.format_exception(error))[-TRACE_CHARACTERS:]
    return Fault(key, f"{said} ({parts}:{place.lineno}, {place.name})", trace, is_preview)


class SetAsides:
    """The orders of a shard that are set aside.

    `changed` are the keys that changed since the last snapshot, `overflow` the facts over the
    limits, which are to be refused.
    """

    def __init__(self) -> None:
        """Create an empty set."""
        self.orders: dict[str, SetAside] = {}
        self.changed: set[str] = set()
        self.overflow: list[Fact] = []
        self.waiting = 0  # facts
        self.waiting_count = 0  # messages: one that several orders share counts once

    def add(self, key: str, since_at: int, fault: Fault, digest: str, facts: list[Fact]) -> None:
        """Set an order aside with the facts that wait."""
        self.orders[key] = SetAside(since_at, fault.reason, digest, [])
        self.changed.add(key)
        for fact in facts:
            self.keep(fact)

    def keep(self, fact: Fact) -> None:
        """Let a fact of an order set aside wait with it."""
        facts = self.orders[fact.key].facts
        if len(facts) >= MAX_WAITING_PER_ORDER or self.waiting >= MAX_WAITING:
            self.overflow.append(fact)
            return
        facts.append(fact)
        self.changed.add(fact.key)
        self.waiting += 1
        self.waiting_count += fact.counted

    def release(self, key: str) -> SetAside:
        """Take an order back, with its facts."""
        released = self.orders.pop(key)
        self.changed.add(key)
        self.waiting -= len(released.facts)
        self.waiting_count -= sum(fact.counted for fact in released.facts)
        return released

    def refused(self) -> list[tuple[Fact, Rejected]]:
        """Take the facts over the limits, each with the reason of its refusal."""
        facts, self.overflow = self.overflow, []
        reason = f"its order is set aside, and {MAX_WAITING_PER_ORDER} events wait with it already"
        return [(fact, Rejected(INTERNAL_FAULT, reason)) for fact in facts]

    def snapshot(self, *, base: bool) -> list[tuple[str, SetAside | None]]:
        """What changed since the last snapshot, everything for a base; None: released."""
        keys = self.orders if base else self.changed
        found = [(key, self.orders.get(key)) for key in keys]
        self.changed = set()
        return found

    def restore(self, part: list[tuple[str, SetAside | None]]) -> None:
        """Take a snapshot's changes."""
        for key, order in part:
            if order is None:
                self.orders.pop(key, None)
            else:
                self.orders[key] = order
        facts = [fact for order in self.orders.values() for fact in order.facts]
        self.waiting = len(facts)
        self.waiting_count = sum(fact.counted for fact in facts)
