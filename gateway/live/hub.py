"""Hub: changes of the live view on their way to the readers of streams.

The follower's thread publishes, readers wait in the event loop. Each reader has a bounded set of
changes that it hasn't sent yet, one an order: a later change takes the place of an earlier one. A
reader that falls further behind gets a reset, and reads everything again. A ring of the last
changes serves readers that come back.
"""

import asyncio
import secrets
import threading
from collections import deque
from collections.abc import Callable, Hashable
from typing import NamedTuple
from weakref import WeakValueDictionary

from gateway.live.view import Facets
from schemas.alert import Severity
from schemas.order import OrderDocument

RING = 10_000
MOST_PENDING = 1_000
MOST_ENCODED = 1_000

Alerts = dict[str, tuple[str, Severity]]  # alert id → rule and severity


class Change(NamedTuple):
    """A change of one live order.

    `document` is None once the order has retired. `was` are its facets before, None if it wasn't
    live; `alerts_before` its open alerts before. `through` is the stream's time in ms.
    """

    key: str
    document: OrderDocument | None
    was: Facets | None
    alerts_before: Alerts
    through: int | None


class Reader:
    """A reader of the stream, in the event loop."""

    def __init__(self, name: str) -> None:
        """Create a reader without changes, in the loop that runs."""
        self.name = name
        self.pending: dict[str, tuple[int, Change]] = {}
        self.is_behind = False
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()

    def offer(self, number: int, change: Change) -> None:
        """Take a change; called by the follower's thread, under the hub's lock."""
        earlier = self.pending.pop(change.key, None)
        if earlier is not None:
            before = earlier[1]
            change = change._replace(was=before.was, alerts_before=before.alerts_before)
        if not self.pending:  # else it is woken already, and hasn't taken them yet
            self.wake()
        self.pending[change.key] = number, change
        if len(self.pending) > MOST_PENDING:
            self.pending.clear()
            self.is_behind = True

    def wake(self) -> None:
        """End a wait; from any thread."""
        self._loop.call_soon_threadsafe(self._woken.set)

    async def wait(self, timeout_s: float) -> bool:
        """Return True once there is something, False after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._woken.wait()
        except TimeoutError:
            return False
        self._woken.clear()
        return True


class Audience:
    """Readers to whom a change means the same bytes, which are made once for all of them."""

    def __init__(self) -> None:
        """Create an audience that has got nothing yet."""
        self._made: dict[int, tuple[Change, bytes]] = {}

    def encoded(self, number: int, change: Change, make: Callable[[], bytes]) -> bytes:
        """The bytes of a change; `make` is called unless they were made before.

        Of a reader that combined several changes the number may be that of another's last one.
        """
        made = self._made.get(number)
        if made is not None and made[0] is change:
            return made[1]
        data = make()
        self._made[number] = change, data
        if len(self._made) > MOST_ENCODED:
            del self._made[next(iter(self._made))]
        return data


class Hub:
    """Hands changes to readers. `epoch` is of this process: numbers of another mean nothing.

    `audiences` are those of the readers that are there, by what decides on their bytes.
    """

    def __init__(self) -> None:
        """Create a hub without readers."""
        self.epoch = secrets.token_hex(4)
        self.readers: set[Reader] = set()
        self.audiences = WeakValueDictionary[Hashable, Audience]()
        self.is_closed = False
        self._ring = deque[tuple[int, Change]](maxlen=RING)
        self._number = 0
        self._lock = threading.Lock()

    def publish(self, change: Change) -> None:
        """Hand a change to all readers; from the follower's thread."""
        with self._lock:
            self._number += 1
            self._ring.append((self._number, change))
            for reader in self.readers:
                reader.offer(self._number, change)

    def join(self, reader: Reader, last_id: str | None) -> int:
        """Let a reader take part, from behind `last_id` on; the number of the latest change.

        Where what came since isn't held any more, or the id is another process's, the reader is
        behind.
        """
        epoch, _, number = (last_id or "").partition("-")
        with self._lock:
            self.readers.add(reader)
            if last_id is None:
                return self._number
            first = self._ring[0][0] if self._ring else self._number + 1
            is_held = epoch == self.epoch and number.isdigit() and int(number) >= first - 1
            if not is_held:
                reader.is_behind = True
                reader.wake()
                return self._number
            for each, change in self._ring:
                if each > int(number):
                    reader.offer(each, change)
            return self._number

    def taken(self, reader: Reader) -> tuple[list[tuple[int, Change]], bool]:
        """(changes to be sent in sequence, whether the reader fell behind), which are then over."""
        with self._lock:
            changes, is_behind = list(reader.pending.values()), reader.is_behind
            reader.pending.clear()
            reader.is_behind = False
        return changes, is_behind

    def latest(self) -> int:
        """The number of the latest change."""
        with self._lock:
            return self._number

    def forget(self) -> None:
        """Set all readers behind: the live view begins anew."""
        with self._lock:
            self._ring.clear()
            self._number += 1  # an id from before is older than the ring
            for reader in self.readers:
                reader.pending.clear()
                reader.is_behind = True
                reader.wake()

    def leave(self, reader: Reader) -> None:
        """Take a reader out."""
        with self._lock:
            self.readers.discard(reader)

    def close(self) -> None:
        """End all streams."""
        self.is_closed = True
        with self._lock:
            for reader in self.readers:
                reader.wake()
