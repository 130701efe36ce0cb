"""Control: what was set while running, in the compacted topic `ordertide.control`.

The topic is the only store of it: every `serve` reads it from its beginning and follows it, without
a group. A record's key begins with its kind (`api-key/ID`), a tombstone ends it. What this process
writes holds here as soon as it is in the broker's log.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping

from confluent_kafka import TopicPartition

from broker.confirm import ConfirmingProducer
from broker.connect import Connection
from broker.consume import held_offsets
from broker.errors import OffsetLost
from broker.fetcher import BATCH_MESSAGES, Fetcher, Message
from broker.produce import Record
from schemas.errors import Busy, OrdertideError
from schemas.topics import CONTROL

LOGGER = logging.getLogger("ordertide.gateway")
READ_TIMEOUT_S = 0.2
RETRY_S = 1.0
Take = Callable[[str, bytes | None], None]  # an id and its record, or None: it ended


class Control:
    """Follows the topic between `start` and `close`, and writes to it.

    `takers` get the records of their kind, in sequence; a fault in one of them is logged and costs
    that record only. `is_loaded` once everything was read that was there at the start. `failure`
    ended the following for good.
    """

    def __init__(
        self, connection: Connection, producer: ConfirmingProducer, takers: Mapping[str, Take]
    ) -> None:
        """Create a follower that has read nothing yet; the producer stays its owner's."""
        self.failure: OrdertideError | None = None
        self._connection = connection
        self._producer = producer
        self._takers = takers
        self._unread: dict[int, int] | None = None  # partition → end at the start
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)

    @property
    def is_loaded(self) -> bool:
        """Return True once everything that was there at the start was read."""
        return self._unread is not None and not self._unread

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def close(self) -> None:
        """End the reading and wait for its end."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    async def put(self, kind: str, name: str, value: bytes | None) -> None:
        """Write a record, or None to end it; it holds here when this returns.

        Raises:
            Busy: it isn't certain that it was written; write it again.
        """
        record = Record(f"{kind}/{name}".encode(), value)
        await asyncio.wrap_future(self._producer.send(CONTROL.name, [record]))
        self._takers[kind](name, value)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._follow()
            except (Busy, OffsetLost) as passing:
                LOGGER.info("control: reads again: %s", passing)
                self._stop.wait(RETRY_S)
            except OrdertideError as failed:
                self.failure = failed
                return

    def _follow(self) -> None:
        with Fetcher(self._connection, self._connection.client_id, on_end=self._pass) as fetcher:
            held = held_offsets(fetcher.client, CONTROL.name)
            self._unread = {p: end for p, (first, end) in held.items() if first < end}
            starts = [TopicPartition(CONTROL.name, p, first) for p, (first, _) in held.items()]
            fetcher.client.assign(starts)
            while not self._stop.is_set():
                for message in fetcher.fetch(BATCH_MESSAGES, READ_TIMEOUT_S):
                    self._take(message)
                    self._pass(message.topic, message.partition, message.offset + 1)

    def _take(self, message: Message) -> None:
        kind, _, name = (message.key or b"").decode("utf-8", "replace").partition("/")
        take = self._takers.get(kind)
        if take is None:
            return  # of a newer version
        try:
            take(name, message.value)
        except (ValueError, OrdertideError):
            LOGGER.exception("control: offset %d can't be read and is left out", message.offset)

    def _pass(self, _topic: str, partition: int, offset: int) -> None:
        unread = self._unread or {}
        if offset >= unread.get(partition, offset + 1):
            del unread[partition]
