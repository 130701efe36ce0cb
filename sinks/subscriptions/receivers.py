"""Receivers of subscriptions: how many deliveries one takes now, and the threads that post them.

All subscriptions share the threads. A receiver has eight of them at most, one after a failure, and
those that fail have a quarter of all together: one that hangs holds up no other.
"""

import time
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from threading import Thread
from typing import NamedTuple

from standardwebhooks import Webhook

from broker.backoff import Pause
from schemas.display import printable
from schemas.errors import Busy, SettingsError
from sinks.actions.channels.addresses import Allowed
from sinks.actions.channels.http_receiver import Answer
from sinks.actions.channels.webhook import WebhookChannel, signer_of
from sinks.subscriptions.deliveries import Delivery
from sinks.subscriptions.subscription import Open, Subscription

THREADS = 128
FAILING_THREADS = THREADS // 4
AT_A_TIME = 8  # of a receiver
LONGEST_PAUSE_S = 60.0


class Posted(NamedTuple):
    """A delivery after an attempt: its answer, or the reason why there is none."""

    delivery: Delivery
    sent_at: int
    took_ms: int
    answer: Answer | None
    reason: str


class Threads:
    """Threads that post deliveries; daemons, so that one that hangs doesn't keep the process."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        """Create it without threads, which start with the deliveries."""
        self.in_flight = 0
        self._now_ms = now_ms
        self._tasks = SimpleQueue[tuple[WebhookChannel, Delivery] | None]()
        self._posted = SimpleQueue[Posted]()
        self._count = 0

    def put(self, channel: WebhookChannel, delivery: Delivery) -> None:
        """Post a delivery in a thread."""
        self.in_flight += 1
        if self._count < min(THREADS, self.in_flight):
            name = f"webhooks-{self._count}"
            Thread(target=self._work, name=name, daemon=True).start()
            self._count += 1
        self._tasks.put((channel, delivery))

    def collect(self) -> Iterator[Posted]:
        """The attempts that have ended."""
        while True:
            try:
                posted = self._posted.get_nowait()
            except Empty:
                return
            self.in_flight -= 1
            yield posted

    def close(self) -> None:
        """End the threads after what they are doing."""
        for _ in range(self._count):
            self._tasks.put(None)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            self._posted.put(self._attempt(*task))

    def _attempt(self, channel: WebhookChannel, delivery: Delivery) -> Posted:
        sent_at, began_s = self._now_ms(), time.perf_counter()
        answer, reason = None, ""
        try:
            answer = channel.post(delivery.id, sent_at, delivery.body)
        except Busy as busy:
            reason = busy.reason
        except Exception as error:  # noqa: BLE001 - a fault of one delivery must not end the thread
            reason = printable(f"{type(error).__name__}: {error}")
        took_ms = round((time.perf_counter() - began_s) * 1000)
        return Posted(delivery, sent_at, took_ms, answer, reason)


class Receiver:
    """The receiver of a subscription. `next_due` is when its next delivery is due, as far as known.

    `failing_since` (wall clock, ms) is its first failure since the last success. `fault` is why
    nothing can be sent at all.
    """

    def __init__(self, name: str, failing_since: int | None = None) -> None:
        """Create a receiver whose deliveries have yet to be looked up."""
        self.name = name
        self.in_flight = 0
        self.next_due: int | None = 0
        self.failing_since = failing_since
        self.fault = ""
        self._is_proven = False  # its last attempt succeeded
        self._pause = Pause(LONGEST_PAUSE_S)
        self._channel: tuple[Subscription, bool, WebhookChannel] | None = None

    def room(self, now_at: int) -> int:
        """Number of deliveries that it takes now: one at a time until one has succeeded."""
        if self._is_proven:
            return AT_A_TIME - self.in_flight
        return 0 if self._pause.holds(now_at) or self.in_flight else 1

    def is_due(self, now_at: int) -> bool:
        """Return True if a delivery may be due."""
        return self.next_due is not None and self.next_due <= now_at

    def due(self, at: int) -> None:
        """Note a delivery that is due at an instant."""
        self.next_due = at if self.next_due is None else min(self.next_due, at)

    def succeeded(self) -> None:
        """Note a success."""
        self._is_proven = True
        self.failing_since = None
        self._pause.reset()

    def forgive(self) -> None:
        """Forget failures: a receiver that is resumed begins anew."""
        self.succeeded()
        self._is_proven = False

    def failed(self, now_at: int, retry_after_s: float) -> None:
        """Note a failure, which pauses the receiver."""
        self._is_proven = False
        if self.failing_since is None:
            self.failing_since = now_at
        self._pause.failed(now_at, retry_after_s)

    def channel(
        self, record: Subscription, now_at: int, open_secret: Open, allowed: Allowed
    ) -> WebhookChannel | None:
        """The channel to a subscription's receiver as its record is now; None with a `fault`."""
        has_former = record.has_former(now_at)
        if self._channel and self._channel[0] is record and self._channel[1] == has_former:
            return self._channel[2]
        self.close()
        try:
            opened = opened_channel(self.name, record, open_secret, allowed, has_former=has_former)
        except (Busy, SettingsError) as error:
            self.fault = str(error)
            return None
        self.fault = ""
        self._channel = record, has_former, opened
        return opened

    def idle(self) -> None:
        """Close kept connections: a thousand receivers would hold thousands."""
        if self._channel and not self.in_flight:
            self._channel[2].close()

    def close(self) -> None:
        """Close the channel."""
        if self._channel:
            self._channel[2].close()
            self._channel = None


def opened_channel(
    name: str, record: Subscription, open_secret: Open, allowed: Allowed, *, has_former: bool
) -> WebhookChannel:
    """A channel that signs with the secret, and the former one in the overlap.

    Raises:
        Busy: the secret can't be opened here. SettingsError: address or secret can't be used.
    """

    def signer(sealed: str) -> Webhook:
        return signer_of(open_secret(name, sealed), f"webhook {name}")

    former = signer(record.former) if has_former else None
    return WebhookChannel(record.url, signer(record.secret), allowed, former=former)
