"""A shard: the live orders of one key range, in the compiled core.

What follows from an order counts only as a whole: what one order raises sets that order aside
(`engine/core/src/shard/set_aside.rs`), and the others go on. Facts wait until the clock has reached
their arrival; what has arrived but not been reached by it shows in the order's live document all
the same.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import msgspec

from dataflows.core import compiled
from dataflows.core.fact import Fact
from dataflows.core.lifecycle import Lifecycle
from dataflows.core.output import Output
from dataflows.core.rules import Rules
from dataflows.core.set_aside import Fault
from dataflows.core.snapshots import Cold

encode = msgspec.msgpack.Encoder().encode


class Mark(NamedTuple):
    """An order set aside; see `dataflows.core.set_aside.SetAside`. `waiting` counts its facts."""

    since_at: int
    reason: str
    releases: int
    waiting: int


@lru_cache(maxsize=4)
def definitions(table: Lifecycle, rules: Rules) -> compiled.Definitions:
    """Lifecycle and rules as the core holds them, once for all shards of a process."""
    return compiled.Definitions(table, rules)


class Shard:
    """The orders of one shard. One owner, which may be any thread."""

    def __init__(self, table: Lifecycle, rules: Rules, cold: Cold, generation: int = 0) -> None:
        """Create an empty shard of a state of this generation; `cold` has its retired orders."""
        self.compiled = compiled.Shard(definitions(table, rules), cold, generation)
        self.digest = definitions(table, rules).digest  # of the rules and lifecycle in force

    def offer(self, facts: Iterable[Fact]) -> None:
        """Take facts; they are applied when the clock has reached them."""
        self.offer_made(compiled.Facts(encode(list(facts))))

    def offer_made(self, facts: compiled.Facts) -> None:
        """Take facts that the compiled door has made."""
        self.compiled.offer(facts)

    def advance(self, watermark: int) -> Output:
        """Move the clock to `watermark` ms, and emit everything that follows; never moves back.

        Raises:
            StoreUnavailable: the retired orders can't be read; no order is to blame.
            MemoryError, OSError: neither.
        """
        return Output(self.compiled.advance(watermark))

    def reevaluate(self) -> Output:
        """Settle every live order by the rules and lifecycle in force; `at` is the watermark."""
        return Output(self.compiled.reevaluate())

    def release(self, key: str) -> Output:
        """Evaluate an order that was set aside; if it raises again, it stays aside."""
        return Output(self.compiled.release(key))

    def put_aside(self, fault: Fault) -> Output:
        """Set an order aside whose fault was found outside of an evaluation."""
        return Output(self.compiled.put_aside(fault.key, fault.reason, fault.trace))

    def release_at_next(self, keys: list[str]) -> None:
        """Release orders set aside when the clock moves next."""
        self.compiled.releasing = keys

    def publish(self, *, documents: bool) -> None:
        """Emit documents or not: a replay asks for them once, at the end."""
        self.compiled.publishing = documents

    def snapshot(self, *, base: bool) -> bytes:
        """Changes since the last snapshot, everything for a base: a packed `Snapshot`."""
        return self.compiled.snapshot(base)

    def restore(self, snapshots: list[bytes]) -> str:
        """Take the state of a base and the deltas after it, packed.

        Returns the digest of the rules and lifecycle that were in force at the last one.

        Raises:
            StateError: one is damaged, or the lifecycle isn't the one of the orders.
        """
        return self.compiled.restore(snapshots)

    def take_cold_rows(self) -> list[tuple[str, bytes | None]]:
        """Take what is to be written to the retired orders with a snapshot; None: to be deleted."""
        return self.compiled.take_cold_rows()

    def order(self, key: str) -> bytes | None:
        """Return a live order, packed."""
        return self.compiled.order(key)

    def orders(self) -> dict[str, bytes]:
        """Return all live orders, packed."""
        return self.compiled.orders()

    def document(self, key: str, data: bytes) -> bytes | None:
        """Document of a packed order, in JSON; None for one of which nothing but notes is known.

        Raises:
            ValueError: the bytes are damaged, or the document can't be written.
        """
        return self.compiled.document(key, data)

    def set_aside(self) -> dict[str, Mark]:
        """Return the orders set aside."""
        return {row[0]: Mark(*row[1:]) for row in self.compiled.set_aside()}

    def bounds(self) -> dict[str, float]:
        """Return how full each bound is, by name; 1 is full."""
        names = ("source_names", "rule_names", "events_of_an_order")
        return dict(zip(names, self.compiled.bounds(), strict=True))

    @property
    def watermark(self) -> int:
        """The clock, in ms."""
        return self.compiled.watermark

    @property
    def waiting_count(self) -> int:
        """Count of messages that wait; one that several orders share counts once."""
        return self.compiled.waiting_count

    @property
    def order_count(self) -> int:
        """Count of live orders."""
        return self.compiled.order_count

    @property
    def has_changed(self) -> bool:
        """Return True if there is anything for a snapshot."""
        return self.compiled.has_changed
