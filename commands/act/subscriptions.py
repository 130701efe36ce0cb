"""Subscriptions in the action worker: a thread that reads orders.changes once for all of them.

It begins once there is a subscription: an installation without any reads nothing. A fault that
won't pass ends the whole process, whose supervisor starts it again.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

from broker.connect import Connection
from broker.errors import OffsetLost
from broker.produce import Record
from broker.sole_member import SoleMember
from broker.start_offsets import StartOf
from broker.topics import is_missing
from commands.wiring.process import now_ms
from gateway.access.folder import existing_secret
from gateway.control import Control
from gateway.webhooks import WebhookSecrets
from schemas.control_records import control_key
from schemas.errors import Busy, SettingsError
from schemas.settings.model import Settings
from schemas.topics import CONTROL, ORDERS_CHANGES
from sinks.actions.channels.addresses import Allowed
from sinks.actions.rebuild import committed_offsets
from sinks.subscriptions.deliveries import FILE, Deliveries
from sinks.subscriptions.metrics import SubscriptionMetrics
from sinks.subscriptions.subscription import Subscriptions
from sinks.subscriptions.worker import SubscriptionWorker, WorkerParts
from telemetry.metrics import Metrics

LOGGER = logging.getLogger("ordertide.webhooks")
LOOK_EVERY_S = 0.2
TOPIC_EVERY_S = 30.0


def webhooks_group(settings: Settings) -> str:
    """The consumer group that reads orders.changes for subscriptions."""
    return f"{settings.act.group}-webhooks"


def deliveries_path(settings: Settings) -> Path:
    """The file of the deliveries."""
    return Path(settings.act.folder) / FILE


class SubscriptionThread:
    """Delivers events between `start` and `close`; `stop` is set where it ends by a fault.

    `control` reads the subscriptions, and perhaps more; it is started here if it isn't yet.
    `verify` returns if this process holds the lease.
    """

    def __init__(
        self,
        settings: Settings,
        control: Control,
        subscriptions: Subscriptions,
        metrics: Metrics,
        stop: threading.Event,
        verify: Callable[[], None],
    ) -> None:
        """Create a thread that has not begun; the reader stays its owner's."""
        self.settings = settings
        self.connection = control.connection
        self.control = control
        self.watch = SubscriptionMetrics(metrics)
        self.stop = stop
        self.verify = verify
        self.subscriptions = subscriptions
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="webhooks")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Wait for the end, after `stop` was set.

        Raises:
            Exception: what ended it.
        """
        self.stop.set()
        self._thread.join()
        if self.failure:
            raise self.failure

    def _run(self) -> None:
        try:
            self._deliver()
        except Exception as failure:
            self.failure = failure
            LOGGER.exception("webhooks: ended")
        finally:
            self.stop.set()

    def _deliver(self) -> None:
        while not self.connection.embedded and self._is_topic_missing():
            if self.stop.wait(TOPIC_EVERY_S):
                return
        with ExitStack() as stack:
            control = self.control
            if not control.is_started:
                control.start()
            while not (control.is_loaded and self.subscriptions.records):
                if control.failure:
                    raise control.failure
                if self.stop.wait(LOOK_EVERY_S):
                    return
            deliveries = stack.enter_context(closing(Deliveries(deliveries_path(self.settings))))

            def report(kind: str, name: str, value: bytes | None) -> "Future[None]":
                record = Record(control_key(kind, name), value)
                return control.producer.send(CONTROL.name, [record])

            secrets = InstallationSecret(Path(self.settings.serve.folder))
            parts = WorkerParts(
                deliveries=deliveries,
                subscriptions=self.subscriptions,
                open_secret=secrets.opened,
                allowed=Allowed(self.settings.act.private, has_own=False),
                now_ms=now_ms,
                report=report,
                watch=self.watch,
            )
            self._read(parts)

    def _is_topic_missing(self) -> bool:
        try:
            return is_missing(self.connection, CONTROL.name)
        except Busy:
            return True

    def _read(self, parts: WorkerParts) -> None:
        """Read until stopped; where the broker holds the next message no more, from its first."""
        deliveries, group = parts.deliveries, webhooks_group(self.settings)
        begin(deliveries, self.connection, group, self.stop)
        is_lost = False

        def starts() -> StartOf:
            held = {} if is_lost else deliveries.positions()
            return partial(start, {partition: at for partition, (at, _) in held.items()})

        while not self.stop.is_set():
            try:
                with SoleMember(
                    self.connection, group, ORDERS_CHANGES, self.verify, starts
                ) as reader:
                    SubscriptionWorker(parts, reader, self.stop).run()
            except OffsetLost as lost:
                LOGGER.warning("webhooks: reads again from the first message held: %s", lost)
                is_lost = True


def start(starts: Mapping[int, int], _topic: str, partition: int) -> int | None:
    """Start offset of a partition; None is the first that is held."""
    return starts.get(partition)


def begin(
    deliveries: Deliveries, connection: Connection, group: str, stop: threading.Event
) -> None:
    """Prepare a new file: of what the group has read before, no event is made again."""
    while not deliveries.positions() and not stop.is_set():
        try:
            committed = committed_offsets(connection, group, ORDERS_CHANGES)
        except Busy as busy:
            LOGGER.warning("webhooks: waiting: %s", busy.reason)
            stop.wait(LOOK_EVERY_S)
            continue
        if not committed:
            return
        with deliveries.transaction():
            deliveries.be_quiet({partition: at for (_, partition), at in committed.items()})
        LOGGER.warning(
            "webhooks: %s is new, and its group isn't: deliveries that waited are lost, and orders "
            "are read again without events",
            deliveries.path,
        )


class InstallationSecret:
    """Opens secrets of webhooks by the folder of `serve`, which is read when it is needed."""

    def __init__(self, folder: Path) -> None:
        """Create it without reading the folder."""
        self._folder = folder
        self._secrets: WebhookSecrets | None = None

    def opened(self, name: str, sealed: str) -> str:
        """The secret of a subscription.

        Raises:
            SettingsError: the installation's secret is missing here, or is another.
        """
        if self._secrets is None:
            self._secrets = WebhookSecrets(existing_secret(self._folder))
        try:
            return self._secrets.opened(name, sealed)
        except SettingsError:
            self._secrets = None  # the folder may be replaced by the right one
            raise
