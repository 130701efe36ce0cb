"""Topic follower: a thread that reads a compacted topic from its beginning, and follows it.

The topic holds the last record of every key, so no group is joined, and no group's position moves.
After an interruption the reading begins again with what there is. A follower of what is new alone
begins with the end.
"""

import threading
from abc import ABC, abstractmethod

from confluent_kafka import TopicPartition

from broker.connect import LOGGER, Connection
from broker.consume import held_offsets
from broker.errors import OffsetLost, TopicMissing
from broker.fetcher import BATCH_MESSAGES, Fetcher, Message
from schemas.errors import Busy, OrdertideError
from telemetry.collector import give_back_memory

READ_TIMEOUT_S = 0.2
RETRY_S = 1.0
Passing = Busy | OffsetLost | TopicMissing  # a topic may be created, or again, at any time


class TopicFollower(ABC):
    """Reads a topic between `start` and `close`.

    Of what the topic held at the beginning `done` of `total` offsets were read; `is_loaded` once
    they all were. `waits_for` is why it can't read just now, `failure` ended the reading for good.
    """

    def __init__(
        self, connection: Connection, topic: str, name: str, *, from_end: bool = False
    ) -> None:
        """Create a follower that has read nothing yet; `name` is its thread's."""
        self.connection = connection
        self.topic = topic
        self.from_end = from_end
        self.total = 0
        self.waits_for: str | None = None
        self.failure: OrdertideError | None = None
        self._unread: dict[int, tuple[int, int]] | None = None  # partition → next, end at the start
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def is_started(self) -> bool:
        """Return True once the reading has begun."""
        return self._thread.ident is not None

    @property
    def done(self) -> int:
        """Offsets read of those that were there at the beginning."""
        unread = dict(self._unread or {})
        return self.total - sum(end - at for at, end in unread.values())

    @property
    def is_loaded(self) -> bool:
        """Return True once everything that was there at the beginning was read."""
        return self._unread is not None and not self._unread

    @property
    def unready(self) -> str | None:
        """Why not everything was read, or nothing can be now; None otherwise."""
        if self.failure:
            return str(self.failure)
        if self.waits_for:
            return f"waiting for the broker: {self.waits_for}"
        if not self.is_loaded:
            return f"reading {self.topic}: {self.done:,} of {self.total:,}"
        return None

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def close(self) -> None:
        """End the reading and wait for its end."""
        self._stop.set()
        if self.is_started:
            self._thread.join()

    def begin(self) -> None:  # noqa: B027 - nothing to do is a good answer
        """Forget what was read: the reading begins with the first message that is held."""

    @abstractmethod
    def take(self, messages: list[Message]) -> None:
        """Take messages, in sequence within a partition."""

    @abstractmethod
    def interrupted(self, passing: Passing) -> None:
        """Note an interruption, and wait as long as it needs; then the reading begins again."""

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._follow()
            except (Busy, OffsetLost, TopicMissing) as passing:
                self.interrupted(passing)
            except OrdertideError as failed:
                self.failure = failed
                LOGGER.error("%s: the reading ended: %s", self.topic, failed)
                return

    def _follow(self) -> None:
        """Read from the beginning until stopped.

        Raises:
            OffsetLost, Busy, TopicMissing, BrokerFailed.
        """
        with Fetcher(self.connection, self.connection.client_id, on_end=self._pass) as fetcher:
            held = held_offsets(fetcher.client, self.topic)
            if self.from_end:
                held = {partition: (end, end) for partition, (_, end) in held.items()}
            self.begin()
            self.waits_for = None
            self.total = sum(end - first for first, end in held.values())
            self._unread = {p: span for p, span in held.items() if span[0] < span[1]}
            starts = [TopicPartition(self.topic, p, first) for p, (first, _) in held.items()]
            fetcher.client.assign(starts)
            while not self._stop.is_set():
                messages = fetcher.fetch(BATCH_MESSAGES, READ_TIMEOUT_S)
                self.take(messages)
                for message in messages:
                    self._pass(message.topic, message.partition, message.offset + 1)

    def _pass(self, _topic: str, partition: int, offset: int) -> None:
        """Note what was read, or passed over at the end: markers, compacted messages."""
        unread = self._unread or {}
        if partition in unread:
            at, end = unread[partition]
            if offset >= end:
                if len(unread) == 1:  # loaded: little will come in comparison
                    give_back_memory()
                del unread[partition]
            else:
                unread[partition] = max(at, offset), end
