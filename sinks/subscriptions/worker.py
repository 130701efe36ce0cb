"""Subscription worker: one reader of orders.changes for all subscriptions, and their receivers.

A round reads a batch, inserts a delivery for each subscription that an event is for, stores the
results of attempts, and hands over what is due. Offsets are committed after the insert. The thread
of the loop alone uses the file; the attempts run in threads of their own.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from threading import Event as Flag
from typing import NamedTuple

from broker.consume import Message
from broker.consumer_loop import ConsumerLoop, Interrupted, LoopSettings
from broker.consumer_loop import Reader as LoopReader
from schemas.errors import Busy
from schemas.instants import DAY_MS
from schemas.topics import CLOCK_KEY
from sinks.actions.attempt import GIVE_UP_MS, delay_s
from sinks.actions.channels.addresses import Allowed
from sinks.actions.channels.http_receiver import GONE, SUCCESS, kept_delay_s
from sinks.actions.channels.webhook import WebhookChannel
from sinks.subscriptions.deliveries import Attempted, Deliveries, Delivery, NewDelivery
from sinks.subscriptions.events import body_of
from sinks.subscriptions.fan_out import FanOut, Wanted, instant
from sinks.subscriptions.metrics import SubscriptionMetrics
from sinks.subscriptions.receivers import FAILING_THREADS, THREADS, Posted, Receiver, Threads
from sinks.subscriptions.states import Report, States
from sinks.subscriptions.subscription import TEST, Open, Request, Subscriptions

LOGGER = logging.getLogger("ordertide.webhooks")
# A batch is one transaction, of which a thousand subscriptions make up to a million rows at 35 µs.
SETTINGS = LoopSettings(batch_messages=100, read_timeout_s=0.05)
KEEP_MS = 30 * DAY_MS
MOST_DONE = 10_000  # deliveries of a subscription that are kept after success
MOST_WAITING = 100_000  # of a subscription; with more it is disabled
FORGET_AT_A_TIME = 2_000
UPKEEP_EVERY_S = 1.0
COUNT_EVERY_S = 5.0
REQUEST_MS = DAY_MS  # an older request is dropped
END_WITHIN_S = 5.0
MOST_HEADERS, MOST_HEADER_CHARACTERS, MOST_ANSWER_CHARACTERS = 20, 200, 1_000
GONE_REASON = "the receiver answered 410 Gone: it wants no more"
DEAD_REASON = "the receiver has failed for 3 days"
FULL_REASON = f"over {MOST_WAITING:,} deliveries waited"


class WorkerParts(NamedTuple):
    """Parts of a worker; `report` writes a record of the control topic."""

    deliveries: Deliveries
    subscriptions: Subscriptions
    open_secret: Open
    allowed: Allowed
    now_ms: Callable[[], int]
    report: Report
    watch: SubscriptionMetrics


class Taken(NamedTuple):
    """Deliveries that a receiver is handed, of which it has room for `room`."""

    receiver: Receiver
    channel: WebhookChannel
    room: int
    deliveries: Sequence[Delivery]


class SubscriptionWorker:
    """Delivers what its reader reads until `stop` is set."""

    def __init__(self, parts: WorkerParts, reader: LoopReader[Message], stop: Flag) -> None:
        """Create a worker; what an earlier one was sending is waiting again."""
        self.deliveries = parts.deliveries
        self.subscriptions = parts.subscriptions
        self.open_secret = parts.open_secret
        self.allowed = parts.allowed
        self.now_ms = parts.now_ms
        self.watch = parts.watch
        self.loop = ConsumerLoop(reader, self, stop, SETTINGS)
        self.threads = Threads(parts.now_ms)
        self.receivers: dict[str, Receiver] = {}
        self.states = States(parts.subscriptions, parts.deliveries, parts.report)
        self._fan_out = FanOut(parts.deliveries)
        self._posted: list[Posted] = []  # and not stored yet
        self._kept_at_s = self._counted_at_s = 0.0
        self._sweep = self._trimmed = 0
        with self.deliveries.transaction():
            self.deliveries.restart()

    def run(self) -> None:
        """Deliver until `stop` is set; attempts under way may end, and the others resume later.

        Raises:
            OrdertideError: the broker or the file refuses for good.
        """
        try:
            self.loop.run()
        except Interrupted:
            LOGGER.info("webhooks: stopped while waiting")
        finally:
            self.close()

    def step(self) -> int:
        """Make one round; the number of messages read."""
        return self.loop.step()

    def submit(self, batch: Sequence[Message]) -> int:
        """Insert the deliveries of a batch, and move what is due or has ended."""
        self._posted += self.threads.collect()
        self.loop.retry(lambda: self._store(batch))
        self.loop.retry(self._hand_over)
        return len(batch)

    def committable(self, *, force: bool) -> bool:
        """Return True: everything submitted is in the file."""
        return True

    def committed(self) -> None:
        """Do nothing: the file has the positions."""

    def poll(self) -> None:
        """Forget, report and measure, once a second."""
        if time.monotonic() - self._kept_at_s < UPKEEP_EVERY_S:
            return
        self._kept_at_s = time.monotonic()
        try:
            self.keep_up()
        except Busy as busy:
            self.waiting(busy, 0.0)

    def keep_up(self) -> None:
        """Forget what is old or of an ended subscription, report states, and measure."""
        now_at, names = self.now_ms(), sorted(self.subscriptions.records)
        with self.deliveries.transaction():
            for name in names:
                self.states.note(name, self._receiver(name).failing_since)
            freed = self.deliveries.forget(now_at - KEEP_MS, now_at, FORGET_AT_A_TIME)
            self._sweep = self.deliveries.sweep(self._sweep, FORGET_AT_A_TIME)
            for gone in (self.deliveries.webhooks() | self.receivers.keys()) - {*names}:
                self.deliveries.drop(gone, FORGET_AT_A_TIME)
                self._forget(gone)
            if names:
                self._trimmed = (self._trimmed + 1) % len(names)
                self.deliveries.trim(names[self._trimmed], MOST_DONE)
        for name in names:
            receiver = self._receiver(name)
            if name in freed:
                receiver.due(now_at)
            self.states.review(name, receiver.fault, now_at)
        if time.monotonic() - self._counted_at_s >= COUNT_EVERY_S:
            self._counted_at_s = time.monotonic()
            self._measure(now_at)
        self.states.send()

    def waiting(self, busy: Busy, wait_s: float) -> None:
        """Log and measure a wait."""
        LOGGER.warning("webhooks: waiting %.1f s: %s", wait_s, busy.reason)
        self.watch.waiting(busy)

    def commit_deferred(self, busy: Busy) -> None:
        """Log that the broker takes no commit."""
        LOGGER.info("webhooks: %s", busy.reason)

    def close(self) -> None:
        """Store what attempts under way give within five seconds, and end."""
        self.threads.close()
        give_up_at_s = time.monotonic() + END_WITHIN_S
        while True:
            self._posted += self.threads.collect()
            if not self.threads.in_flight or time.monotonic() >= give_up_at_s:
                break
            time.sleep(SETTINGS.read_timeout_s)
        try:
            self._store([])
        except Busy as busy:  # the next run sends them again
            LOGGER.info("webhooks: %s", busy.reason)
        for receiver in self.receivers.values():
            receiver.close()

    # ------------------------------------------------------------ storing
    def _store(self, batch: Sequence[Message]) -> None:
        requests = dict(self.subscriptions.requests)
        if not (batch or self._posted or requests):
            return
        now_at = self.now_ms()
        results = [result_of(each, now_at) for each in self._posted]
        names = self.subscriptions.records
        wanted = [Wanted(name, names[name]) for name in names if self.states.is_open(name)]
        with self.deliveries.transaction():
            self.deliveries.settle(results, now_at)
            asked = {
                request.webhook
                for name, request in requests.items()
                if self._requested(name, request, now_at)
            }
            due, faults = self._fan_out.apply(batch, wanted, now_at)
        self._posted = []
        self.states.answered(requests)
        self.watch.read(len(batch))
        for fault in faults:
            self.watch.unreadable(fault.code)
            LOGGER.warning("passed over: %s", fault)
        for name in due | asked:
            self._receiver(name).due(now_at)
        for result in results:
            self.watch.attempted(result, now_at)
            self._settled(result, now_at)

    def _requested(self, name: str, request: Request, now_at: int) -> bool:
        """Do what was requested, once; True if the subscription may have something to send."""
        is_old = now_at - instant(request.at) >= REQUEST_MS
        if is_old or request.webhook not in self.subscriptions.records:
            return False
        if not self.deliveries.note_request(name, now_at):
            return False
        if request.kind == "test":
            number = self.deliveries.add_event(body_of(TEST, now_at, {"webhook": request.webhook}))
            key = f"{CLOCK_KEY}{name}"  # of no order: it waits behind nothing
            test = NewDelivery(name, request.webhook, key, number, TEST, now_at)
            self.deliveries.add([test], now_at)
        else:
            count = self.deliveries.replay(request.webhook, request.delivery, now_at)
            LOGGER.info("webhook %s: %d deliveries are sent again", request.webhook, count)
        return True

    def _settled(self, result: Attempted, now_at: int) -> None:
        name = result.delivery.webhook
        receiver = self.receivers.get(name)
        if receiver is None:
            return  # its subscription has ended
        receiver.in_flight -= 1
        if result.state == "done":
            receiver.succeeded()
        else:
            receiver.failed(now_at, retry_after_s(result.headers))
        receiver.due(result.due_at if result.ended_at is None else now_at)
        receiver.idle()
        if result.status == GONE:
            self._disable(receiver, GONE_REASON, now_at)
        elif receiver.failing_since is not None and now_at - receiver.failing_since >= GIVE_UP_MS:
            self._disable(receiver, DEAD_REASON, now_at)

    def _disable(self, receiver: Receiver, reason: str, now_at: int) -> None:
        if self.states.is_open(receiver.name):
            self.states.disable(receiver.name, reason, now_at)
            receiver.forgive()

    # ------------------------------------------------------------ sending
    def _hand_over(self) -> None:
        now_at = self.now_ms()
        for name in self.subscriptions.records:
            self._receiver(name)
        due = [each for each in self.receivers.values() if self._takes(each, now_at)]
        if not due or self.threads.in_flight >= THREADS:
            return
        with self.deliveries.transaction():  # one for all: each is a write to the disk
            taken = self._taken(due, now_at)
        for receiver, channel, room, found in taken:
            # Those that got nothing, for want of a thread, are the first next time.
            self.receivers[receiver.name] = self.receivers.pop(receiver.name)
            receiver.in_flight += len(found)
            if len(found) < room:  # else more may be due
                receiver.next_due = self.deliveries.next_due(receiver.name)
            for delivery in found:
                self.threads.put(channel, delivery)

    def _takes(self, receiver: Receiver, now_at: int) -> bool:
        is_due = receiver.is_due(now_at) and receiver.room(now_at) > 0
        return is_due and self.states.is_open(receiver.name)

    def _taken(self, due: Sequence[Receiver], now_at: int) -> list[Taken]:
        """Deliveries that are due, as many as threads are free; a part of them to failing ones."""
        left, taken = THREADS - self.threads.in_flight, list[Taken]()
        failing = sum(r.in_flight for r in self.receivers.values() if r.failing_since is not None)
        for receiver in due:
            is_failing = receiver.failing_since is not None
            if left <= 0 or (is_failing and failing >= FAILING_THREADS):
                continue
            channel = self._channel(receiver, now_at)
            if channel is not None:
                room = min(receiver.room(now_at), left)
                found = self.deliveries.take(receiver.name, now_at, room)
                failing += is_failing and len(found)
                left -= len(found)
                taken.append(Taken(receiver, channel, room, found))
        return taken

    def _channel(self, receiver: Receiver, now_at: int) -> WebhookChannel | None:
        """The channel to a receiver; without one it fails, which is logged once."""
        before, record = receiver.fault, self.subscriptions.records[receiver.name]
        channel = receiver.channel(record, now_at, self.open_secret, self.allowed)
        if channel is None:
            receiver.failed(now_at, 0.0)
            if receiver.fault != before:
                LOGGER.warning("webhook %s: nothing is sent: %s", receiver.name, receiver.fault)
        return channel

    def _receiver(self, name: str) -> Receiver:
        found = self.receivers.get(name)
        if found is None:
            found = self.receivers[name] = Receiver(name, self.states.failing.get(name))
        return found

    def _forget(self, name: str) -> None:
        self.states.forget(name)
        receiver = self.receivers.pop(name, None)
        if receiver:
            receiver.close()

    def _measure(self, now_at: int) -> None:
        counts, waiting = self.deliveries.counts(), Counter[str]()
        for (name, state), count in counts.items():
            waiting[name] += count if state != "dead" else 0
        for name, count in waiting.items():
            if count > MOST_WAITING:
                self._disable(self._receiver(name), FULL_REASON, now_at)
        first_at = min(self.states.failing.values(), default=now_at)
        statuses = [self.states.status(name) for name in self.subscriptions.records]
        self.watch.holds(counts, statuses, max(now_at - first_at, 0) / 1000)


def result_of(posted: Posted, now_at: int) -> Attempted:
    """Result of an attempt: 2xx is done, 410 is dead, anything else is tried again for 3 days."""
    delivery, answer = posted.delivery, posted.answer
    result = Attempted(delivery, "failed", posted.sent_at, posted.took_ms, reason=posted.reason)
    if answer is not None:
        result = result._replace(
            status=answer.status,
            headers={
                name[:MOST_HEADER_CHARACTERS]: text[:MOST_HEADER_CHARACTERS]
                for name, text in answer.headers.items()[:MOST_HEADERS]
            },
            answer=answer.text[:MOST_ANSWER_CHARACTERS],
            reason="" if answer.status in SUCCESS else f"answered {answer.status}",
        )
        if answer.status in SUCCESS:
            return result._replace(state="done", ended_at=now_at)
        if answer.status == GONE:
            return result._replace(state="dead", ended_at=now_at)
    if now_at >= (delivery.first_at or now_at) + GIVE_UP_MS:
        reason = f"given up after 3 days: {result.reason}"
        return result._replace(state="dead", ended_at=now_at, reason=reason)
    wait_s = delay_s(delivery.attempts, retry_after_s(result.headers))
    return result._replace(due_at=now_at + round(1000 * wait_s))


def retry_after_s(headers: Mapping[str, str]) -> float:
    """The seconds that a receiver asks for; 0 without any."""
    text = next((text for name, text in headers.items() if name.lower() == "retry-after"), None)
    return kept_delay_s(text, 0.0)
