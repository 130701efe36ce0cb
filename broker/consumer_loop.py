"""Consumer loop: read a batch, submit it, commit; with backpressure, retries and a clean stop.

Shared by the writers of tiers and by delivery, after arroyo's StreamProcessor. A round (`step`) is

    submit        the handler processes the batch; it may retry while something is busy
    committable   the handler makes its batch durable; True if offsets may be committed
    commit        the reader commits everything that it has handed out
    poll          the handler does what is due without messages

While something is busy the reader is paused and still polled, since a silent member is thrown out
of its group. What it hands out meanwhile (`ahead`) is the next batch, and forbids a commit: that
would cover unprocessed messages.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event
from typing import Generic, Protocol, TypeVar

import msgspec

from broker.backoff import Backoff
from broker.start_offsets import Partition
from schemas.errors import Busy


class Positioned(Protocol):
    """A message with its place."""

    @property
    def topic(self) -> str:
        """The topic that it was read from."""
        ...

    @property
    def partition(self) -> int:
        """The partition that it was read from."""
        ...


Result = TypeVar("Result")
Message = TypeVar("Message", bound=Positioned)
MessageRead = TypeVar("MessageRead", bound=Positioned, covariant=True)
MessageTaken = TypeVar("MessageTaken", bound=Positioned, contravariant=True)


class Interrupted(Exception):
    """The loop was stopped while something was busy: what was submitted last is not committed."""


class Reader(Protocol[MessageRead]):
    """A member of a consumer group (`broker.group.GroupReader`)."""

    def read(self, max_messages: int, timeout_s: float) -> Sequence[MessageRead]:
        """The next messages; none after `timeout_s` without any, or while it is paused."""
        ...

    def commit(self) -> None:
        """Store the position after everything that `read` gave out. `Busy`: later."""
        ...

    def pause(self) -> None:
        """Give out nothing more, but stay a member as long as `read` is called."""
        ...

    def resume(self) -> None:
        """Continue after `pause`."""
        ...


class Handler(Protocol[MessageTaken]):
    """The processing of a consumer."""

    def submit(self, batch: Sequence[MessageTaken]) -> int:
        """Process a batch, which may be empty, and what is due; the number of its messages.

        Raises:
            Interrupted: from `ConsumerLoop.wait`.
        """
        ...

    def committable(self, *, force: bool) -> bool:
        """Return True if everything submitted is durable; with `force` it is made so first."""
        ...

    def committed(self) -> None:
        """Note that offsets after everything submitted were committed."""
        ...

    def poll(self) -> None:
        """Do what is due after a commit, or without one."""
        ...

    def waiting(self, busy: Busy, wait_s: float) -> None:
        """Note that the loop waits so long before it retries."""
        ...

    def commit_deferred(self, busy: Busy) -> None:
        """Note that the broker took no commit; the next round commits more."""
        ...


class LoopSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Messages in a batch, the time that a read waits for some, and the limit of a backoff."""

    batch_messages: int = 500
    read_timeout_s: float = 0.2
    max_wait_s: float = 30.0


class ConsumerLoop(Generic[Message]):
    """Passes what `reader` reads to `handler`, until `stop` is set."""

    def __init__(
        self,
        reader: Reader[Message],
        handler: Handler[Message],
        stop: Event,
        settings: LoopSettings | None = None,
    ) -> None:
        """Create a loop that has read nothing yet."""
        self.reader = reader
        self.handler = handler
        self.stop = stop
        self.settings = settings or LoopSettings()
        self.ahead: list[Message] = []
        self._pauses = 0

    def run(self) -> None:
        """Make rounds until `stop` is set.

        Raises:
            Interrupted: it was set while something was busy.
        """
        while not self.stop.is_set():
            self.step()

    def step(self) -> int:
        """Make one round; the number of messages in its batch.

        Raises:
            Interrupted: nothing may be committed any more.
        """
        count = self.handler.submit(self._next_batch())
        self.commit()
        self.handler.poll()
        return count

    def commit(self, *, force: bool = False) -> None:
        """Commit if everything that was read is durable; with `force` it is made so first."""
        # Waiting within `committable` may bring messages ahead.
        if not self.handler.committable(force=force) or self.ahead:
            return
        try:
            self.reader.commit()
        except Busy as busy:
            self.handler.commit_deferred(busy)
        else:
            self.handler.committed()

    def retry(self, call: Callable[[], Result]) -> Result:
        """The result of `call`, which is called again with backoff while it raises Busy.

        Raises:
            Interrupted: `stop` was set meanwhile.
        """
        backoff = Backoff(self.settings.max_wait_s)
        while True:
            try:
                return call()
            except Busy as busy:
                self.wait(busy, backoff.next_s(busy.retry_after_s))

    def wait(self, busy: Busy, wait_s: float) -> None:
        """Wait with the reader paused and polled.

        Raises:
            Interrupted: `stop` was set meanwhile.
        """
        self.handler.waiting(busy, wait_s)
        with self.paused():
            is_stopped = self.stop.wait(wait_s)
            self.keep_membership()
        if is_stopped:
            raise Interrupted

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Pause the reader for the length of the block; blocks may lie in each other."""
        self._pauses += 1
        if self._pauses == 1:
            self.reader.pause()
        try:
            yield
        finally:
            self._pauses -= 1
        if not self._pauses:
            self.reader.resume()

    def keep_membership(self) -> None:
        """Poll the reader during long work: a silent member is thrown out of its group."""
        messages = self.reader.read(1, 0.0)  # whose callbacks may drop from what is ahead
        self.ahead.extend(messages)

    def drop_ahead(self, partitions: Iterable[Partition]) -> None:
        """Forget what was read ahead of these: it is read again."""
        dropped = {*partitions}
        self.ahead = [m for m in self.ahead if (m.topic, m.partition) not in dropped]

    def _next_batch(self) -> Sequence[Message]:
        if self.ahead:
            batch, self.ahead = self.ahead, []
            return batch
        return self.reader.read(self.settings.batch_messages, self.settings.read_timeout_s)
