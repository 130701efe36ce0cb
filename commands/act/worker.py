"""The action worker by the settings: its lock, its lease, its outbox and its receivers."""

import logging
import threading
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import NamedTuple

from broker.confirm import ConfirmingProducer
from broker.connect import Connection
from broker.fence import Fence
from broker.lease import RunLease
from broker.produce import Producer
from broker.reach import reach
from broker.sole_member import SoleMember
from broker.start_offsets import StartOf
from broker.throttle import Throttle
from broker.topics import wait_for_topics
from commands.act.personal import CustomerData
from commands.act.subscriptions import SubscriptionThread
from commands.act.tier_lookup import TierAlerts, TierOrders, tier_pool
from commands.wiring.broker import connection_of
from commands.wiring.definitions import actions_of
from commands.wiring.messages import messages_of, refusals_of
from commands.wiring.process import now_ms
from commands.wiring.serving import announce, health_server, patience
from dataflows.state.local.lock import ProcessLock
from gateway.control import Control
from gateway.unsubscribing import REFUSAL, FollowedRefusals
from gateway.webhooks import takers_of
from schemas.errors import SettingsError
from schemas.instants import DAY_MS
from schemas.private_files import private_folder
from schemas.settings.model import Settings
from schemas.topics import EVENTS, LEASE, ORDERS_ACTIONS, ORDERS_AUDIT
from sinks.actions.attempt import ActionClock
from sinks.actions.batch_attempt import attempt_at
from sinks.actions.channels.installed import open_channels
from sinks.actions.messages.messages import Messages
from sinks.actions.metrics import ActionMetrics
from sinks.actions.outbox import Outbox
from sinks.actions.outcomes import Publisher
from sinks.actions.people import KEPT_DAYS, People
from sinks.actions.preparation import Preparation
from sinks.actions.rebuild import rebuild
from sinks.actions.receiver import Receivers
from sinks.actions.recipient import Refusals
from sinks.actions.table import ActionTable
from sinks.actions.worker import ActionWorker, StreamTime, WorkerParts
from sinks.subscriptions.subscription import Subscriptions
from telemetry.metrics import Metrics

LOGGER = logging.getLogger("ordertide.actions")
OUTBOX, LOCK = "outbox.sqlite", "lock"
PEOPLE_MS = KEPT_DAYS * DAY_MS
TOPICS = (ORDERS_ACTIONS, ORDERS_AUDIT, EVENTS, LEASE.name)


def outbox_path(settings: Settings) -> Path:
    """The file of the outbox."""
    return Path(settings.act.folder) / OUTBOX


def act(settings: Settings, stop: threading.Event) -> None:
    """Do what orders.actions requests until `stop` is set.

    Raises:
        OrdertideError: the settings, the outbox, the lease or the broker can't be used.
    """
    table = actions_of(settings)
    connection = connection_of(settings.broker)
    folder = Path(settings.act.folder)
    private_folder(folder)
    metrics = Metrics("act")
    watch = ActionMetrics(metrics)
    with ExitStack() as stack:
        lock = ProcessLock(folder / LOCK, folder)
        stack.callback(lock.release)
        server = health_server(metrics, {"actions": watch.is_acting}, settings.telemetry, "act")
        stack.callback(server.close)
        server.start()
        watch.starts(f"not yet at the broker, {settings.broker.bootstrap}")
        if not connection.embedded:
            reach(connection)
        if not wait_for_topics(connection, TOPICS, patience(stop, watch.starts)):
            return
        lease = stack.enter_context(
            RunLease(
                connection,
                settings.act.group,
                instance=lock.name,
                stopping=stop.is_set,
                setting="act.group",
            )
        )
        shared = shared_of(settings, connection, table, stack)
        parts = parts_of(settings, shared, table, watch, lease, stack)
        worker = ActionWorker(parts, stop)
        receivers = f"receivers: {', '.join(table.receivers)}"
        announce("act", server, receivers, f"outbox in {folder}")
        webhooks = SubscriptionThread(
            settings,
            shared.control,
            shared.subscriptions,
            metrics,
            stop,
            partial(verify, connection, settings.act.group, lease.token),
        )
        webhooks.start()
        stack.callback(webhooks.close)
        worker.run()


class NoRefusals(Refusals):
    """Refusals of an installation that sends no messages to customers."""

    def refuses(self, person: str, kind: str) -> bool:
        return False


class Shared(NamedTuple):
    """Parts of the worker and of the subscriptions: one reader of the control topic for both."""

    connection: Connection
    producer: ConfirmingProducer
    control: Control
    subscriptions: Subscriptions
    messages: Messages
    refusals: Refusals


def shared_of(
    settings: Settings, connection: Connection, table: ActionTable, stack: ExitStack
) -> Shared:
    """The shared parts, which `stack` closes.

    The control topic is read at once where messages are sent, else by `SubscriptionThread`.
    """
    producer = stack.enter_context(closing(ConfirmingProducer(connection)))
    messages, subscriptions = messages_of(settings, table), Subscriptions()
    refusals = refusals_of(settings) if messages.templates else None
    takers = takers_of(subscriptions) | ({REFUSAL: refusals.take} if refusals else {})
    control = Control(connection, producer, takers)
    stack.callback(control.close)
    if refusals:
        control.start()
    followed = FollowedRefusals(refusals, control) if refusals else NoRefusals()
    return Shared(connection, producer, control, subscriptions, messages, followed)


def parts_of(
    settings: Settings,
    shared: Shared,
    table: ActionTable,
    watch: ActionMetrics,
    lease: RunLease,
    stack: ExitStack,
) -> WorkerParts:
    """The parts of the worker, which `stack` closes; a lost outbox is rebuilt first."""
    stream = StreamTime()
    is_recorded = settings.track.clock == "recorded"
    clock = ActionClock(wall_ms=now_ms, orders_ms=stream.now if is_recorded else now_ms)
    outbox = stack.enter_context(closing(Outbox(outbox_path(settings))))
    pool = stack.enter_context(closing(tier_pool(settings)))
    people = People(outbox.contacts(now_ms() - PEOPLE_MS))
    keys = Path(settings.privacy.keys)
    personal = stack.enter_context(closing(CustomerData(pool, keys, shared.producer, clock)))
    preparation = Preparation(
        table, TierOrders(pool), people, shared.messages, personal, shared.refusals
    )
    alerts = TierAlerts(pool)
    channels = open_channels(table, settings.act)
    receivers = Receivers(
        {
            name: attempt_at(table.receivers[name], each, alerts, clock, preparation)
            for name, each in channels.items()
        }
    )
    stack.callback(receivers.close)
    reader = stack.enter_context(reader_of(settings, shared.connection, outbox, lease))
    producer = stack.enter_context(closing(producer_of(settings, shared.connection, stack)))
    return WorkerParts(
        reader=reader,
        outbox=outbox,
        publisher=Publisher(producer),
        table=table,
        receivers=receivers,
        clock=clock,
        watch=watch,
        stream=stream,
        verify=lease.verify,
    )


def reader_of(
    settings: Settings, connection: Connection, outbox: Outbox, lease: RunLease
) -> SoleMember:
    """The member of the group: from its committed offsets, or from where the outbox ends."""
    group = settings.act.group
    found = rebuild(outbox, connection, group, now_ms())
    if found is None:
        return SoleMember(connection, group, ORDERS_ACTIONS, lease.verify)
    LOGGER.warning(
        "act: the outbox %s is behind its group: rebuilt from %d outcomes; actions without one are "
        "read and sent again under their idempotency keys",
        *(outbox.path, found),
    )

    def starts() -> StartOf:
        positions = outbox.positions()
        return lambda topic, partition: positions.get((topic, partition))

    return SoleMember(connection, group, ORDERS_ACTIONS, lease.verify, starts)


def verify(connection: Connection, group: str, token: int) -> None:
    """Return if the process with this token still holds the lease; for any thread.

    Raises:
        LeaseLost, Busy, BrokerFailed.
    """
    with closing(Fence(connection, group, token)) as fence:
        fence.verify()


def producer_of(settings: Settings, connection: Connection, stack: ExitStack) -> Producer:
    """The producer of outcomes; on an embedded broker it waits for the slowest reader."""
    if not connection.embedded:
        return Producer(connection)
    throttle = Throttle(connection, {EVENTS: [settings.track.group]}, producers=2)
    stack.callback(throttle.close)
    return Producer(connection, throttle)


def existing_outbox(settings: Settings) -> Outbox:
    """The outbox of a worker that has run on this host.

    Raises:
        SettingsError: there is none here.
    """
    path = outbox_path(settings)
    if not path.exists():
        raise SettingsError(
            f"act.folder: {path} is missing; run this on the host of 'ordertide act', with its "
            "settings file"
        )
    return Outbox(path)
