"""The compiled core: Rust, from `engine/`.

Instants are ms since 1970 (UTC), days are whole days since 1970. A hash is 12 bytes. An instant
that needs a day must lie between 1970 and 2149.

Errors: `ValueError` where the record of a number is damaged, an instant is out of range or a text
is too long; `RuntimeError` for a panic, an error in the core itself. Both concern the number of the
call alone, whose record stays as it was.
"""

LOOKED_AT_ONCE: int
"""Numbers examined by one `Numbers.forget`, beside two for each that came since the last one."""

def sources() -> int:
    """CRC-32 of the sources that the module was compiled from; see `dataflows.compiled_core`."""

def panic(message: str) -> None:
    """Panic, to test what becomes of it.

    Raises:
        RuntimeError: always.
    """

def hash_of(number: str) -> bytes:
    """Hash (12 bytes, blake2b) of a number's key, which includes tenant and kind."""

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

    def register(self, number: str, order_id: str, carrier: str, at: int, arrival_at: int) -> None:
        """Register an order of a number: by an event of time `at` that arrived at `arrival_at`.

        Raises:
            ValueError, RuntimeError: see the module; the number is not registered.
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
