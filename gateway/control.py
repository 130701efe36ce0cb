"""Control: what was set while running, in the compacted topic `ordertide.control`.

The topic is the only store of it: every `serve` reads it from its beginning and follows it, without
a group. A record's key begins with its kind (`api-key/ID`), a tombstone ends it. What this process
writes holds here as soon as it is in the broker's log.
"""

import asyncio
import logging
import secrets
import threading
from collections.abc import Callable, Mapping
from itertools import count

from broker.confirm import ConfirmingProducer
from broker.connect import Connection
from broker.fetcher import Headers, Message
from broker.produce import Record
from broker.topic_follower import RETRY_S, Passing, TopicFollower
from schemas.control_records import control_key, split_control_key
from schemas.errors import OrdertideError
from schemas.topics import CONTROL

LOGGER = logging.getLogger("ordertide.gateway")
WRITE = "write"  # header: a mark of the process and of its write
Take = Callable[[str, bytes | None], None]  # an id and its record, or None: it ended


class Control(TopicFollower):
    """Follows the topic between `start` and `close`, and writes to it.

    `takers` get the records of their kind, in sequence; a fault in one of them is logged and costs
    that record only.
    """

    def __init__(
        self, connection: Connection, producer: ConfirmingProducer, takers: Mapping[str, Take]
    ) -> None:
        """Create a follower that has read nothing yet; the producer stays its owner's."""
        super().__init__(connection, CONTROL.name, "control")
        self.producer = producer
        self._takers = takers
        # Marks of the last record of each id that this process wrote and hasn't read yet. What is
        # read of it before is older: it would bring a revoked key back until its end is read.
        self._unread_own: dict[tuple[str, str], bytes] = {}
        self._writer = secrets.token_hex(8)
        self._writes = count()
        self._lock = threading.Lock()

    def begin(self) -> None:
        self._unread_own.clear()

    async def put(self, kind: str, name: str, value: bytes | None) -> None:
        """Write a record, or None to end it; it holds here when this returns.

        Raises:
            Busy: it isn't certain that it was written; write it again.
        """
        await self.put_all(kind, {name: value})

    async def put_all(self, kind: str, values: Mapping[str, bytes | None]) -> None:
        """Write records of a kind by name; they hold here when this returns.

        Raises:
            Busy: it isn't certain that all were written; write them again.
        """
        mark = f"{self._writer}-{next(self._writes)}".encode()
        headers: Headers = [(WRITE, mark)]
        records = [
            Record(control_key(kind, name), value, headers) for name, value in values.items()
        ]
        self._unread_own |= dict.fromkeys(((kind, name) for name in values), mark)
        try:
            await asyncio.wrap_future(self.producer.send(CONTROL.name, records))
        except BaseException:
            for name in values:
                if self._unread_own.get((kind, name)) == mark:
                    del self._unread_own[kind, name]
            raise
        with self._lock:
            for name, value in values.items():
                if self._unread_own.get((kind, name)) == mark:
                    self._takers[kind](name, value)

    def take(self, messages: list[Message]) -> None:
        for message in messages:
            self._take(message)

    def interrupted(self, passing: Passing) -> None:
        LOGGER.info("control: reads again: %s", passing)
        self._stop.wait(RETRY_S)

    def _take(self, message: Message) -> None:
        kind, name = split_control_key(message.key)
        take = self._takers.get(kind)
        if take is None:
            return  # of a newer version
        try:
            with self._lock:
                if unread := self._unread_own.get((kind, name)):
                    if (WRITE, unread) not in message.headers:
                        return
                    del self._unread_own[kind, name]
                take(name, message.value)
        except (ValueError, OrdertideError):
            LOGGER.exception("control: offset %d can't be read and is left out", message.offset)
