"""The compiled core: Rust, from `engine/`.

Instants are ms since 1970 (UTC), days are whole days since 1970. A hash is 12 bytes. An instant
that needs a day must lie between 1970 and 2149.

Errors: `ValueError` where the record of a number is damaged, an instant is out of range or a text
is too long; `RuntimeError` for a panic, an error in the core itself. Both concern the number of the
call alone, whose record stays as it was.
"""

from collections.abc import Mapping, Sequence

from dataflows.core.door import PlainForm
from dataflows.core.lifecycle import Lifecycle
from dataflows.core.rules import Rules
from dataflows.core.snapshots import Cold

LOOKED_AT_ONCE: int
"""Numbers examined by one `Numbers.forget`, beside two for each that came since the last one."""

BEYOND_MS: int
"""No instant: of a deadline outside the years of its calendar."""

def sources() -> int:
    """CRC-32 of the sources that the module was compiled from; see `dataflows.compiled_core`."""

def panic(message: str) -> None:
    """Panic, to test what becomes of it.

    Raises:
        RuntimeError: always.
    """

def hash_of(number: str) -> bytes:
    """Hash (12 bytes, blake2b) of a number's key, which includes tenant and kind."""

class WorkingTime:
    """The working time of a calendar: working days and hours, as intervals in ms UTC."""

    def __init__(
        self,
        shown: str,
        begins_at: int,
        ends_at: int,
        days: list[tuple[int, int]],
        hours: list[tuple[int, int]],
        cut_off: list[int],
    ) -> None:
        """Take (begin, end) of the working days and hours, in order.

        `shown` is what faults call the calendar, `begins_at` and `ends_at` are the ends of its
        years. `cut_off` has for each day the instant from which on the next one counts, or is
        empty.
        """

    def later(self, at: int, working_ms: int, in_hours: bool) -> int:
        """Return the instant at which `working_ms` of working time have passed since `at`.

        `BEYOND_MS` where one of both is outside the calendar's years.
        """

    def total(self, in_hours: bool) -> int:
        """Return all working time of its years, in ms."""

    def latest(self, working_ms: int, in_hours: bool) -> int:
        """Return the last instant of which `working_ms` of working time are left."""

class Numbers:
    """The numbers of one shard: which orders each leads to, and until when.

    A record is the packed orders of a number (bytes; `engine/core/src/resolver/mapping.rs`), empty
    for a number that was forgotten. A number whose record exceeds `crowd_bytes` is a crowd: it is
    held by order, so registering one more costs as much as the first, and a delta has the orders
    that changed.
    """

    def __init__(
        self,
        forget_after_ms: int,
        forget_unused_after_ms: int,
        shared_within_ms: int,
        max_orders: int,
        crowd_bytes: int,
    ) -> None:
        """Create an empty set; see `dataflows.core.resolve.Resolver` for the limits."""

    def __len__(self) -> int: ...
    @property
    def most_orders(self) -> int:
        """The most orders that a number was seen with since the start."""

    @property
    def has_changed(self) -> bool:
        """Return True if there is anything for a delta."""

    @property
    def next_arrival(self) -> int | None:
        """Arrival (ms) of the first registration that is held; None without any."""

    def offer(self, registrations: Registrations) -> None:
        """Hold registrations until `register_through` has reached their arrival."""

    def register_through(
        self, through: int, waiting: Mapping[str, object]
    ) -> tuple[tuple[int, list[str]] | None, list[tuple[str, str]]]:
        """Register what is held and arrived up to `through` ms, in the order of arrival.

        ((instant in ms, its numbers that are in `waiting`, sorted), or None; (number, reason) of
        what could not be registered). It ends early after the first instant with a number in
        `waiting` (a dict), for which something waits; None: everything is registered.
        """

    def held(self) -> bytes:
        """Return the registrations that are held: a packed list of `Registration`."""

    def hold(self, packed: bytes) -> None:
        """Replace the registrations that are held; see `held`.

        Raises:
            ValueError: the bytes are damaged.
        """

    def answer(
        self, number: str, carrier: str, at: int, arrival_at: int, given_at: int
    ) -> tuple[list[str], bool] | None:
        """Return the orders that a number means for an event, which get it at `given_at`.

        (ids of orders, sorted; True if events that wait for the number are to be answered again).
        No orders: none has the number at that time. None: more than `max_orders` have it at the
        event's arrival.

        Raises:
            ValueError, RuntimeError: see the module.
        """

    def get(self, key: bytes) -> list[tuple[str, str, int, int, int, int, bool]]:
        """Return the orders of the number of a hash, by first arrival.

        Each is (order id, carrier, time of the earliest registration in ms, its arrival in ms, day
        of the latest event, day of its arrival, True while no event has come by the number).

        Raises:
            ValueError: the record is damaged.
        """

    def forget(self, watermark: int) -> None:
        """Examine some numbers whose day has come, and forget their orders that don't count."""

    def take_unreadable(self) -> list[tuple[str, str]]:
        """Take (name, reason) of the numbers that could not be read since the last call.

        The name is the hash in hex, or how many numbers a damaged page has lost.
        """

    def base(
        self,
    ) -> tuple[list[bytes], int, dict[int, bytes], list[tuple[bytes, bytes]]]:
        """Return the state, and note that a snapshot was made.

        (pages, numbers in them, the numbers to examine by day, (hash, record) of the crowds).
        """

    def delta(self) -> tuple[list[tuple[bytes, bytes]], list[tuple[bytes, bytes]]]:
        """Return the changes since the last snapshot, and note that one was made.

        ((hash, record) of the numbers that changed, (hash, record of the changed orders alone) of
        the crowds).
        """

    def restore(
        self,
        pages: list[bytes],
        count: int,
        days: dict[int, bytes],
        crowds: list[tuple[bytes, bytes]],
    ) -> None:
        """Replace the state by that of a base; see `base` for the arguments.

        Of a damaged page the numbers before the damage are kept; see `take_unreadable`.

        Raises:
            ValueError: the bytes of a day are no multiple of 4.
        """

    def apply(self, changed: list[tuple[bytes, bytes]], crowds: list[tuple[bytes, bytes]]) -> None:
        """Apply a delta; what of it can't be read is unreadable."""

    def records(self) -> list[tuple[bytes, bytes]]:
        """Return (hash, record) of all numbers, in no particular order; for tests and tools."""

    def days(self) -> dict[int, bytes]:
        """Return the numbers to examine by day: 4 bytes of each hash."""

def shard_of(key: str, shards: int) -> int:
    """Return the shard, of so many, of the key of an order or a number: blake2b of the key."""

class Door:
    """The door: reads plain events, those that leave nothing to judge.

    What follows from one is what `dataflows.decoding` makes of it. Anything else is left to that.
    """

    def __init__(self, form: PlainForm) -> None:
        """Take over the form of plain events.

        Raises:
            ValueError: it has other fields than those that the door reads.
        """

    def read(self, values: Sequence[bytes | None]) -> Read:
        """Decode the plain events of messages; None: a message that isn't to be read."""

class Facts:
    """Facts of orders of one shard, as the core holds them."""

    def __init__(self, packed: bytes) -> None:
        """Read a packed list of `Fact`.

        Raises:
            ValueError: it is damaged.
        """

    def packed(self) -> bytes:
        """Return the packed list, for another process."""

class Registrations:
    """Registrations of numbers of one shard, as the core holds them."""

    def __init__(self, packed: bytes) -> None:
        """Read a packed list of `Registration`.

        Raises:
            ValueError: it is damaged.
        """

    def packed(self) -> bytes:
        """Return the packed list, for another process."""

class Read:
    """The plain events of some messages, decoded."""

    recorded_at: list[int | None]
    """Arrivals of recorded history, in ms, by message; None: not plain."""
    panics: list[str]
    """Places in the core that panicked; what brought it out is not plain."""

    def take(
        self, topic: str, partition: int, offsets: list[int], arrivals: Sequence[int | None]
    ) -> tuple[list[tuple[int, Facts]], list[tuple[int, Registrations]], bytes, list[int]]:
        """Take what follows from the events, by the place and the arrival (ms) of each message.

        (facts by order shard, registrations by resolver shard, questions, indices of what is left).
        Questions are a packed list of `Question`. Left is what lies too far ahead of its arrival.
        An event without an arrival is dropped.

        Raises:
            ValueError: not as many offsets or arrivals as messages.
            RuntimeError: a panic.
        """

class Definitions:
    """Lifecycle and rules in force, as the core holds them; for all shards of a process."""

    def __init__(self, table: Lifecycle, rules: Rules) -> None:
        """Take over what Python parsed. Conditions are evaluated by calling back."""

    @property
    def digest(self) -> str:
        """Digests of the rules and of the lifecycle."""

    def explain(self, key: str, facts: bytes, watermark: int) -> bytes:
        """Return the state of every rule for an order at `watermark` ms.

        `facts` is a packed list of its facts. The answer is a list of
        `schemas.explanation.RuleState` in JSON.

        Raises:
            ValueError: the facts are damaged, or the order can't be evaluated.
        """

class Shard:
    """The orders of one shard; see `dataflows.core.shard.Shard`, its face.

    A packed order is msgpack (`engine/core/src/order/packing.rs`), a fact is a packed
    `dataflows.core.fact.Fact`, a snapshot a packed `dataflows.core.snapshots.Snapshot`.

    Errors: what `cold` raises is a fault of the order that was looked for, but for
    `StoreUnavailable`, MemoryError, OSError and what is no Exception, which are raised here.
    RuntimeError where another call is still running, in another thread or one that called back.
    """

    def __init__(self, definitions: Definitions, cold: Cold, generation: int) -> None:
        """Create an empty shard of a state of this generation; `cold` has its retired orders."""

    publishing: bool
    """Documents are emitted."""
    releasing: list[str]
    """Orders set aside that the next advance releases; write-only."""

    @property
    def watermark(self) -> int:
        """The clock, in ms."""

    @property
    def waiting_count(self) -> int:
        """Messages that wait; one that several orders share counts once."""

    @property
    def order_count(self) -> int:
        """Live orders."""

    @property
    def has_changed(self) -> bool:
        """Return True if there is anything for a snapshot."""

    def bounds(self) -> tuple[float, float, float]:
        """Return how full the names of sources, those of rules and the largest order are."""

    def offer(self, facts: Facts) -> None:
        """Take facts."""

    def advance(self, watermark: int) -> Output:
        """Move the clock to `watermark` ms; it never moves back."""

    def reevaluate(self) -> Output:
        """Settle every live order by the definitions in force."""

    def release(self, key: str) -> Output:
        """Evaluate an order that was set aside."""

    def put_aside(self, key: str, reason: str, trace: str) -> Output:
        """Set an order aside whose fault was found outside of an evaluation."""

    def snapshot(self, base: bool) -> bytes:
        """Return the changes since the last snapshot, everything for a base."""

    def restore(self, snapshots: list[bytes]) -> str:
        """Take the state of a base and the deltas after it; return the digest of the last one.

        Raises:
            StateError: one is damaged, or the lifecycle isn't the one of the orders.
        """

    def take_cold_rows(self) -> list[tuple[str, bytes | None]]:
        """Take the packed orders that are to be written to the cold; None: to be deleted."""

    def order(self, key: str) -> bytes | None:
        """Return a live order, packed."""

    def orders(self) -> dict[str, bytes]:
        """Return all live orders, packed, in no particular order."""

    def document(self, key: str, data: bytes) -> bytes | None:
        """Document of a packed order in JSON; None for one of which nothing but notes is known.

        Raises:
            ValueError: the bytes are damaged, or the document can't be written.
        """

    def set_aside(self) -> list[tuple[str, int, str, int, int]]:
        """Return (key, since_at in ms, reason, releases, facts that wait) of orders set aside."""

class Output:
    """What a shard emits, each list in the order in which it was emitted; texts are JSON."""

    changes: list[tuple[str, int, bytes | None]]
    """(key, published version, document; None: a tombstone)."""
    accepted: list[tuple[str, bytes]]
    """(key, `AcceptedEvent`)."""
    alerts: list[tuple[str, bytes]]
    """(key, `AlertTransition`)."""
    actions: list[tuple[str, bytes]]
    """(key, `Action`)."""
    audit: list[tuple[str, bytes]]
    """(key, `AuditEntry`)."""
    rejected: list[tuple[bytes, str, str]]
    """(packed fact, code, reason)."""
    faults: list[tuple[str, str, str, bool]]
    """(key, reason, trace, True if it concerns the live document alone)."""
    condition_faults: list[str]
    """Rules whose condition could not be evaluated."""
    outside_calendar: list[tuple[str, str]]
    """(rule, reason) of deadlines outside the years of their calendar."""
    applied: int
    """Messages that were applied."""
    duplicates: int
    """Messages that were duplicates."""
    refused: int
    """Commands that were refused."""
    fields_lost: int
    """Events of which some fields didn't fit."""

class Fold:
    """The fold by a lifecycle, to verify stored orders."""

    def __init__(self, table: Lifecycle) -> None:
        """Take over what Python parsed."""

    def differences(self, key: str, data: bytes) -> list[str]:
        """Return names of what differs in a packed order from a fold of its whole history.

        Raises:
            ValueError: the bytes are damaged.
            RuntimeError: the history can't be folded by this lifecycle.
        """

def check_order(key: str, data: bytes) -> None:
    """Check that a packed order can be read.

    Raises:
        ValueError: the bytes are damaged, or of another format.
    """

def as_kind(kind: str, number: str) -> str:
    """Return the normal form of a number of a kind; `schemas.numbers.as_kind` in the core."""

def content_hash(raw: bytes) -> int:
    """Hash of what an event in JSON says; blake2b of its compact JSON, keys sorted.

    Without `recorded_at`, and without `personal`: sealed under another store's keys, the same
    message would have other bytes, and another rival might win. `dropped_fields` are sorted.

    Raises:
        ValueError: it is no JSON.
    """
