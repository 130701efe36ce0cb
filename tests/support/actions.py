"""Made-up actions, and a worker over an embedded broker whose time is ours."""

import time
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from threading import Event as Flag
from typing import Any, Protocol

import msgspec

from broker.connect import Connection
from broker.consume import GroupReader, Headers, Message, read_all
from broker.consumer_loop import Reader
from broker.embedded import EmbeddedBroker
from broker.produce import Producer
from schemas.alert import Action, Because
from schemas.alert_text import Language
from schemas.errors import Busy
from schemas.instants import DAY_MS, format_instant, parse_instant
from schemas.keys import action_id, order_key
from schemas.order import OrderDocument
from schemas.topics import EVENTS, HEADER_CLOCK, ORDERS_ACTIONS, ORDERS_AUDIT
from sinks.actions.attempt import ActionClock, Alerts, AlertStatus
from sinks.actions.batch_attempt import attempt_at
from sinks.actions.batches import BatchRow
from sinks.actions.channels.action_channel import ActionChannel
from sinks.actions.messages.fields import Shop
from sinks.actions.messages.messages import Messages
from sinks.actions.messages.templates import read_templates
from sinks.actions.metrics import ActionMetrics
from sinks.actions.outbox import Outbox, Task
from sinks.actions.outcomes import Log, Publisher
from sinks.actions.people import KEPT_DAYS, People
from sinks.actions.preparation import KnownOrder, Orders, Preparation
from sinks.actions.receiver import Receivers
from sinks.actions.recipient import Personal, Recipient, Refusals
from sinks.actions.table import ActionTable, KindRow, ReceiverRow
from sinks.actions.worker import ActionWorker, StreamTime, WorkerParts
from telemetry.metrics import Metrics
from tests.support.waiting import wait_until

BEGIN_AT = parse_instant("2026-11-30T10:00:00.000Z")
TOPICS = (ORDERS_ACTIONS, ORDERS_AUDIT, EVENTS)
GROUP = "ordertide-act"


def action(
    order_id: str = "SO-1",
    kind: str = "confirm_order",
    *,
    alert_id: str | None = None,
    tenant: str = "default",
    at: int = BEGIN_AT,
    expires_ms: int = 7 * DAY_MS,
) -> Action:
    """An action as the dataflow requests it."""
    return Action(
        action_id=action_id(order_key(tenant, order_id), "a_rule", 7, kind),
        tenant=tenant,
        order_id=order_id,
        kind=kind,
        rule="a_rule",
        at=format_instant(at),
        expires_at=format_instant(at + expires_ms),
        alert_id=alert_id,
        because=Because(
            anchor="created",
            anchor_event=f"{7:016x}",
            anchor_at=format_instant(at),
            limit="0ms",
            due_at=format_instant(at),
            last_event="PAID",
            last_event_at=format_instant(at),
        ),
    )


class KnownAlerts(Alerts):
    """Alerts whose status is set by the test; `open` for the others."""

    def __init__(self) -> None:
        self.status: dict[str | None, AlertStatus] = {}
        self.asked = 0

    def status_of(self, action: Action) -> AlertStatus:
        self.asked += 1
        return self.status.get(action.alert_id, "open")


class KnownOrders(Orders):
    """Orders that the test has put in, by order id; each is current."""

    def __init__(self) -> None:
        self.documents: dict[str, OrderDocument] = {}

    def find(self, action: Action) -> KnownOrder | None:
        document = self.documents.get(action.order_id)
        return KnownOrder(document, is_current=True) if document else None


class KnownPersonal(Personal):
    """Recipients, or errors, that the test has put in, by order id; `reads` are the accesses."""

    def __init__(self) -> None:
        self.recipients: dict[str, Recipient | Exception] = {}
        self.reads: list[tuple[str, frozenset[str]]] = []

    def read(self, task: Task, action: Action, fields: AbstractSet[str]) -> Recipient:
        found = self.recipients.get(action.order_id, Recipient())
        if isinstance(found, Exception):
            raise found
        self.reads.append((action.order_id, frozenset(fields)))
        return found


class KnownRefusals(Refusals):
    """People and kinds that the test has put in; Busy while `is_reading`."""

    def __init__(self) -> None:
        self.refused: set[tuple[str, str]] = set()
        self.is_reading = False

    def refuses(self, person: str, kind: str) -> bool:
        if self.is_reading:
            raise Busy("reading")
        return (person, kind) in self.refused


class Topics(Protocol):
    """Topics for workers: in memory, or a broker's."""

    def send(
        self, topic: str, key: bytes, value: bytes, headers: Headers | None = None
    ) -> None: ...
    def read(self, topic: str) -> list[bytes]: ...
    def reader(self, *, from_start: bool) -> AbstractContextManager[Reader[Message]]: ...
    def producer(self) -> AbstractContextManager[Log]: ...


class MemoryTopics(Topics):
    """Topics of one partition, with the position of one group."""

    def __init__(self) -> None:
        self.messages: dict[str, list[Message]] = {topic: [] for topic in TOPICS}
        self.committed = 0

    def send(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers | None = None
    ) -> None:
        log = self.messages[topic]
        log.append(Message(topic, 0, len(log), BEGIN_AT, key, value, headers or []))

    def flush(self, timeout_s: float = 0.0) -> None:
        pass

    def read(self, topic: str) -> list[bytes]:
        return [each.value for each in self.messages[topic] if each.value is not None]

    @contextmanager
    def reader(self, *, from_start: bool) -> Iterator[Reader[Message]]:
        yield MemoryReader(self, 0 if from_start else self.committed)

    @contextmanager
    def producer(self) -> Iterator[Log]:
        yield self


class MemoryReader(Reader[Message]):
    """The group's member over `MemoryTopics`."""

    def __init__(self, topics: MemoryTopics, begin: int) -> None:
        self.topics = topics
        self.next = begin

    def read(self, max_messages: int, timeout_s: float) -> list[Message]:
        found = self.topics.messages[ORDERS_ACTIONS][self.next : self.next + max_messages]
        self.next += len(found)
        if not found:
            time.sleep(0.001)  # for the threads of the receivers
        return found

    def commit(self) -> None:
        self.topics.committed = self.next

    def pause(self) -> None:
        pass

    def resume(self) -> None:
        pass


class BrokerTopics(Topics):
    """Topics of an embedded broker."""

    def __init__(self, broker: EmbeddedBroker) -> None:
        for topic in TOPICS:
            broker.create(topic, partitions=2)
        self.connection: Connection = broker.connection

    def send(self, topic: str, key: bytes, value: bytes, headers: Headers | None = None) -> None:
        with Producer(self.connection, linger_ms=0) as producer:
            producer.send(topic, key, value, headers)

    def read(self, topic: str) -> list[bytes]:
        messages = read_all(self.connection, topic)
        return [each.value for each in messages if each.value is not None]

    def reader(self, *, from_start: bool) -> AbstractContextManager[Reader[Message]]:
        start_of = (lambda *_: None) if from_start else None
        return GroupReader(self.connection, GROUP, [ORDERS_ACTIONS], start_of=start_of)

    def producer(self) -> AbstractContextManager[Log]:
        return closing(Producer(self.connection, linger_ms=0))


class Acting:
    """The world around workers: topics, an outbox's file, channels by receiver, and a clock.

    Each kind goes to the receiver of its name, so `confirm_order` to `confirm_order`.
    """

    def __init__(
        self,
        folder: Path,
        channels: Mapping[str, ActionChannel],
        topics: Topics | None = None,
        batch: BatchRow | None = None,
    ) -> None:
        self.topics = topics or MemoryTopics()
        self.path = folder / "outbox.sqlite"
        self.channels = channels
        self.alerts = KnownAlerts()
        self.orders = KnownOrders()
        self.personal = KnownPersonal()
        self.refusals = KnownRefusals()
        self.now_at = BEGIN_AT
        self.stop = Flag()
        self.metrics = Metrics("act")
        self.table = ActionTable(
            "actions.toml",
            {name: ReceiverRow("memory", batch=batch) for name in channels},
            {name: KindRow(name) for name in channels},
        )

    def messages(self) -> Messages:
        """The messages of the table, with a link that holds the order."""

        def link_to(action: Action, _came_at: int, language: Language) -> str:
            return f"https://shop.example.com/t/{action.order_id}?lang={language}"

        return Messages(read_templates(self.table), Shop("The Shop", "help@example.com"), link_to)

    def request(self, *actions: Action) -> None:
        """Append actions to orders.actions."""
        for each in actions:
            key = order_key(each.tenant, each.order_id).encode()
            clock: Headers = [(HEADER_CLOCK, b"%d" % parse_instant(each.at))]
            self.topics.send(ORDERS_ACTIONS, key, msgspec.json.encode(each), clock)

    @contextmanager
    def worker(
        self,
        opens: Callable[[Path], Outbox] = Outbox,
        *,
        is_recorded: bool = False,
        from_start: bool = False,
    ) -> Iterator[ActionWorker]:
        """A worker over what the ones before have left."""
        stream = StreamTime()
        orders_ms = stream.now if is_recorded else self._now
        clock = ActionClock(wall_ms=self._now, orders_ms=orders_ms)
        with ExitStack() as stack:
            outbox = stack.enter_context(closing(opens(self.path)))
            reader = stack.enter_context(self.topics.reader(from_start=from_start))
            producer = stack.enter_context(self.topics.producer())
            people = People(outbox.contacts(self.now_at - KEPT_DAYS * DAY_MS))
            preparation = Preparation(
                self.table, self.orders, people, self.messages(), self.personal, self.refusals
            )
            attempts = {
                name: attempt_at(
                    self.table.receivers[name], channel, self.alerts, clock, preparation
                )
                for name, channel in self.channels.items()
            }
            receivers = Receivers(attempts)
            stack.callback(receivers.close)
            yield ActionWorker(
                WorkerParts(
                    reader=reader,
                    outbox=outbox,
                    publisher=Publisher(producer),
                    table=self.table,
                    receivers=receivers,
                    clock=clock,
                    watch=ActionMetrics(self.metrics),
                    stream=stream,
                    verify=lambda: None,
                ),
                self.stop,
            )

    def run_until(self, worker: ActionWorker, is_so: Callable[[], bool], what: str) -> None:
        """Make rounds until `is_so()`."""

        def stepped() -> bool:
            worker.step()
            return is_so()

        wait_until(stepped, what, shown=worker.outbox.states)

    def run_to_the_end(self, worker: ActionWorker, count: int) -> None:
        """Make rounds until so many actions have ended; skips what time retries wait for."""

        def ended() -> bool:
            tasks = worker.outbox.states()
            is_over = len(tasks) == count and all(
                state in {"done", "dead", "skipped", "expired"} for state in tasks.values()
            )
            if not is_over and worker.receivers.are_idle:
                self.now_at += 5_000
            return is_over and not worker.outbox.unpublished(1)

        self.run_until(worker, ended, f"{count} ended actions")

    def notes(self) -> list[dict[str, Any]]:
        """The outcome events, each event id once."""
        found = [msgspec.json.decode(value) for value in self.topics.read(EVENTS)]
        return [*{each["event_id"]: each for each in found}.values()]

    def audit(self) -> list[dict[str, Any]]:
        """The entries of orders.audit."""
        return [msgspec.json.decode(value) for value in self.topics.read(ORDERS_AUDIT)]

    def states(self, worker: ActionWorker) -> list[str]:
        """The states of all actions, sorted."""
        return sorted(worker.outbox.states().values())

    def _now(self) -> int:
        return self.now_at
