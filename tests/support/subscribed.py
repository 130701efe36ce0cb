"""Subscriptions over a log in memory, with receivers over HTTP and a clock that tests move."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event as Flag
from typing import Any

import msgspec

from broker.consume import Message
from broker.consumer_loop import Reader
from schemas.instants import format_instant
from schemas.keys import order_key
from schemas.order import OrderDocument
from schemas.topics import ORDERS_CHANGES
from sinks.actions.channels.addresses import Allowed
from sinks.subscriptions.deliveries import FILE, Deliveries, Delivery
from sinks.subscriptions.metrics import SubscriptionMetrics
from sinks.subscriptions.subscription import REQUEST, STATE, Subscription, Subscriptions
from sinks.subscriptions.worker import SubscriptionWorker, WorkerParts
from telemetry.metrics import Metrics
from tests.support.hooks import SECRET
from tests.support.tiers.orders import document
from tests.support.waiting import wait_until


class LogReader(Reader[Message]):
    """The group's member over a list of messages; `taken` counts those that it gave out."""

    def __init__(self, log: list[Message], begin: int = 0) -> None:
        self.log = log
        self.next = begin
        self.taken = 0

    def read(self, max_messages: int, timeout_s: float) -> list[Message]:
        found = self.log[self.next : self.next + max_messages]
        self.next += len(found)
        self.taken += len(found)
        if not found:
            time.sleep(0.001)  # for the threads of the receivers
        return found

    def commit(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


class Subscribed:
    """The world around workers: a log, a file of deliveries, subscriptions and a clock."""

    def __init__(self, folder: Path, allowed: Allowed | None = None) -> None:
        self.path = folder / FILE
        self.log: list[Message] = []
        self.subscriptions = Subscriptions()
        self.allowed = allowed or Allowed("127.0.0.1")
        self.now_at = round(time.time() * 1000)
        self.metrics = Metrics("act")
        self.reader = LogReader(self.log)

    def subscribe(self, name: str, url: str, **fields: Any) -> Subscription:  # noqa: ANN401 - any field
        """Create or change a subscription, whose secret isn't sealed here."""
        at = format_instant(self.now_at)
        given = {"secret": SECRET, "since_at": at, "active_at": at} | fields
        record = msgspec.convert({"url": url} | given, Subscription)
        self.subscriptions.take(name, msgspec.json.encode(record))
        return self.subscriptions.records[name]

    def change(self, *orders: OrderDocument) -> None:
        """Append orders to orders.changes."""
        for each in orders:
            key = order_key(each.tenant, each.order_id).encode()
            self._append(key, msgspec.json.encode(each))

    def retire(self, order_id: str) -> None:
        """Append the end of an order."""
        self._append(order_key("default", order_id).encode(), None)

    def new(self, order_id: str = "SO-1", version: int = 1, **changes: object) -> OrderDocument:
        """An order that was created just now."""
        at = format_instant(self.now_at)
        return document(order_id, version, created_at=at, **changes)  # type: ignore[arg-type]  # any field

    @contextmanager
    def worker(
        self, begin: int | None = None, opens: Callable[[Path], Deliveries] = Deliveries
    ) -> Iterator[SubscriptionWorker]:
        """A worker that resumes where the ones before have ended, or at an offset."""
        with closing(opens(self.path)) as deliveries:
            at = deliveries.positions().get(0, (0, 0))[0] if begin is None else begin
            self.reader = LogReader(self.log, at)
            parts = WorkerParts(
                deliveries=deliveries,
                subscriptions=self.subscriptions,
                open_secret=lambda _, sealed: sealed,
                allowed=self.allowed,
                now_ms=lambda: self.now_at,
                report=self._report,
                watch=SubscriptionMetrics(self.metrics),
            )
            worker = SubscriptionWorker(parts, self.reader, Flag())
            yield worker
            worker.close()

    def run_until(self, worker: SubscriptionWorker, is_so: Callable[[], bool], what: str) -> None:
        """Make rounds until `is_so()`."""

        def stepped() -> bool:
            worker.step()
            return is_so()

        wait_until(stepped, what, shown=worker.deliveries.counts)

    def run_to_the_end(self, worker: SubscriptionWorker) -> None:
        """Make rounds until everything was read and nothing is unfinished."""

        def ended() -> bool:
            is_read = self.reader.next == len(self.log)
            return is_read and all(state == "dead" for _, state in worker.deliveries.counts())

        worker.step()
        self.run_until(worker, ended, "all deliveries ended")

    def page(self, worker: SubscriptionWorker, name: str) -> list[Delivery]:
        """The deliveries of a subscription, the oldest first."""
        return worker.deliveries.page(name, None, None, 10_000)[::-1]

    def _append(self, key: bytes, value: bytes | None) -> None:
        self.log.append(Message(ORDERS_CHANGES, 0, len(self.log), self.now_at, key, value, []))

    def _report(self, kind: str, name: str, value: bytes | None) -> "Future[None]":
        takers = {
            STATE: self.subscriptions.take_state,
            REQUEST: self.subscriptions.take_request,
        }
        takers[kind](name, value)
        done = Future[None]()
        done.set_result(None)
        return done
