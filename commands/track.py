"""`ordertide track`: the dataflow, from the topic `events` to orders, alerts and actions."""

import logging
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path

import click
import msgspec
from bytewax.testing import cluster_main

from broker.broker_time import BrokerTime
from broker.connect import Connection
from broker.errors import EpochAborted, Fenced
from broker.fence import Fence, fence_writers, settled
from broker.heartbeats import Heartbeats
from broker.lease import RunLease
from broker.message_limits import MessageLimits
from broker.produce import Producer
from broker.topic_identity import LayoutWatch
from broker.transactions import transactional_id
from commands.state.description import describe
from commands.track_clock import BEGIN_ANEW, end_member, start_again, watched
from commands.track_faults import fault_of
from commands.wiring.broker import connection_of, prepared
from commands.wiring.calendars import check_calendars
from commands.wiring.definitions import lifecycle_of, rules_of
from commands.wiring.process import now_ms, stop_event
from commands.wiring.releases import read_releases
from commands.wiring.serving import announce, start_logs
from commands.wiring.settings_file import settings_option
from commands.wiring.track_metrics import TrackMetrics
from dataflows.cluster.begin_anew import Launch, Start
from dataflows.cluster.multi_host import run_multi_host
from dataflows.cluster.open_store import STORE, Waits, lock_of, open_store
from dataflows.cluster.single_host import run_local_workers
from dataflows.cluster.supervisor import (
    FENCED,
    RUN_AGAIN,
    Member,
    RunResult,
    lock_state,
    supervise,
)
from dataflows.core.intake import Intake
from dataflows.decoding import Decoder, Links
from dataflows.sink import Worker
from dataflows.source import SOURCE_TASKS, task_key
from dataflows.source_task import SourceSettings
from dataflows.state.local.lock import ProcessLock
from dataflows.state.local.sqlite import MEMBERS, SqliteShardStore
from dataflows.state.states import EVENTS
from dataflows.track import EPOCH, Track, build, recovery
from dataflows.unsendable import OUTPUTS, PRODUCER_BYTES
from privacy.keys import FileKeyStore
from privacy.originals import seal_rejected
from privacy.place import link_event
from privacy.seal import seal_event
from schemas import topics
from schemas.instants import parse_duration
from schemas.private_files import private_folder
from schemas.settings.model import Settings, TelemetrySettings, read_settings
from telemetry.child_process import end_with_parent
from telemetry.screen import show_error

LOGGER = logging.getLogger("ordertide.track")


@click.command("track")
@settings_option()
@click.option("--workers", type=click.IntRange(1, MEMBERS), help="processes (default: as set)")
@click.option("--hosts", help="host:port of every host, with commas (default: as set)")
@click.option("--host", type=click.IntRange(0, MEMBERS - 1), help="which of them this one is")
@click.option(
    BEGIN_ANEW, "begin_anew", is_flag=True, help="discard the state, rebuild it from the topic"
)
@click.option("--member", help="JSON", hidden=True)
def command(
    path: Path | None,
    workers: int | None,
    hosts: str | None,
    host: int | None,
    member: str | None,
    *,
    begin_anew: bool,
) -> None:
    """Track every order: read `events`, write orders.changes, orders.actions and the rest.

    Ends cleanly on SIGTERM and Ctrl-C; restarted, it resumes at its last epoch, with the same
    number of workers or another. Each worker is a process; if one dies, all are restarted. With
    hosts the command runs on each of them; their state lies in a bucket.

    Lost or damaged state is refused: restore it from a backup. --begin-anew logs what it discards,
    then builds a new state from the messages that `events` still holds. Give it once, by hand,
    never in a service's unit file: every start would discard the state.

    \b
    ordertide track --settings ordertide.toml
    ordertide track --settings ordertide.toml --workers 2
    ordertide track --settings ordertide.toml --hosts a:7001,b:7001 --host 1
    ORDERTIDE_BROKER_BOOTSTRAP=kafka:9092 ordertide track
    """
    settings = read_settings(path)
    given = {"workers": workers, "hosts": hosts, "host": host}
    overrides = {name: value for name, value in given.items() if value is not None}
    track = msgspec.structs.replace(settings.track, **overrides)
    settings = msgspec.structs.replace(settings, track=track)
    options = ["--settings", str(path)] if path else []
    members = [sys.executable, "-m", "run", "track", *options]
    part = msgspec.json.decode(member, type=Member) if member else None
    run(settings, members, part, begin_anew=begin_anew)


def run(
    settings: Settings,
    command: Sequence[str] = (),
    member: Member | None = None,
    *,
    begin_anew: bool = False,
) -> None:
    """Run the dataflow until it is stopped: as a `member`, or with as many as are set.

    `command` is how a member is started. `begin_anew` discards the state.

    Raises:
        OrdertideError: the settings, the state or the broker can't be used.
    """
    start_logs(settings.telemetry)
    stop = stop_event()
    if member:
        run_member(settings, stop, member)
        return
    about = partial(describe, settings)
    launch = Launch(settings, prepared(settings.broker), stop, command, now_ms, about, begin_anew)
    if settings.track.hosts:
        run_multi_host(launch)
    elif settings.track.workers == 1:
        alone(settings, stop, begin_anew=begin_anew)
    else:
        run_local_workers(launch)


def alone(settings: Settings, stop: threading.Event, *, begin_anew: bool) -> None:
    """Run the dataflow in this process; an epoch that was aborted is run again."""
    anew = iter([begin_anew])  # for the first start alone

    def once() -> RunResult:
        try:
            flow(settings, stop, begin_anew=next(anew, False))
        except EpochAborted as aborted:
            return RunResult(RUN_AGAIN, str(aborted))
        stop.set()  # its sources end for no other reason
        return RunResult(0, "")

    supervise(once, stop)


def run_member(settings: Settings, stop: threading.Event, member: Member) -> None:
    """Run a worker; the process that watches it learns by its exit code what a new start mends."""
    end_with_parent()
    try:
        flow(settings, stop, member)
    except (Fenced, EpochAborted) as ended:
        show_error(ended)
        sys.exit(FENCED if isinstance(ended, Fenced) else RUN_AGAIN)


def flow(
    settings: Settings,
    stop: threading.Event,
    member: Member | None = None,
    *,
    begin_anew: bool = False,
) -> None:
    """Run the dataflow, or a member's part of it, in this process.

    For members the process that watches them has the lease; they verify its fencing token.

    Raises:
        OrdertideError: the state or the broker can't be used.
    """
    folder = Path(settings.track.folder)
    private_folder(folder)
    index, addresses = (member.index, member.addresses) if member else (0, [])
    try:
        with ExitStack() as stack:
            connection = connection_of(settings.broker)
            # A second run on this folder is refused by its lock, sooner than by the lease.
            is_local = settings.state.store == "folder"
            take_lock = lock_of if is_local else partial(lock_state, stopping=stop.is_set)
            lock = None if member else take_lock(folder / STORE)
            if lock:
                stack.callback(lock.release)
            # With a bucket another host may resume: there a run that ends has to leave.
            name = lock if is_local else None
            verify = stack.enter_context(lease_of(settings, connection, stop, member, name))
            waits = Waits()
            about = partial(describe, settings)
            start = Start(settings, connection, verify, now_ms, about, begin_anew)
            store = open_store(start, stop.is_set, waits, member)
            stack.callback(store.close)
            telemetry = of_member(settings.telemetry, member.worker if member else 0)
            time = BrokerTime()
            now = now_ms if settings.track.clock == "recorded" else time.now
            watch = TrackMetrics(telemetry, now, folder / STORE)
            waits.on_wait = watch.store_away
            if settings.track.clock == "broker":
                set_back = end_member if member else start_again
                host = watched(lambda: now_ms(), time, watch, set_back)  # noqa: PLW0108 - looked up at each call: trials set it wrong
                stack.enter_context(Heartbeats(connection, time, host))
            writer = transactional_id(settings.track.group, index)
            limits = MessageLimits(connection, OUTPUTS)
            producer = producer_of(connection, verify, writer, limits)
            stack.enter_context(settled(connection, writer, verify))
            stack.enter_context(producer)
            producer.init_transactions(stop.is_set)
            stack.enter_context(watch)
            parts = (connection, producer, store, watch, stop, member)
            track = assemble(settings, *parts, time=time, stack=stack, limits=limits)
            process = f"track, worker {member.index}" if member else "track"
            announce(process, watch.server, *definitions(settings, track), restored(store))
            cluster_main(  # type: ignore[no-untyped-call]  # bytewax has no stubs for it
                build(track),
                addresses,
                index,
                epoch_interval=EPOCH,
                recovery_config=recovery(folder / "recovery"),
            )
    except BaseException as error:
        if fault := fault_of(error, folder):
            raise fault from error
        raise


def definitions(settings: Settings, track: Track) -> tuple[str, str]:
    """Rules and lifecycle of a flow, for its log."""
    rules = settings.track.rules or "shipped"
    lifecycle = settings.track.lifecycle or "shipped"
    return (
        f"rules: {rules} ({len(track.rules.rules)})",
        f"lifecycle: {lifecycle} ({len(track.table.rows)} statuses)",
    )


def restored(store: SqliteShardStore) -> str:
    """State that a flow resumes with, for its log."""
    if not store.meta.commits:
        return f"state: new in {store.path}"
    generation = f", generation {store.generation}" if store.generation else ""
    return f"state: restored from {store.path}, commit {store.meta.commits}{generation}"


def producer_of(
    connection: Connection, verify: Callable[[], None], writer: str, limits: MessageLimits
) -> Producer:
    """The transactional producer of a worker; `verify` is called before each flush."""
    batch_size = min(limits.smallest or PRODUCER_BYTES, PRODUCER_BYTES)
    return Producer(connection, before_flush=verify, transactional_id=writer, batch_size=batch_size)


@contextmanager
def lease_of(
    settings: Settings,
    connection: Connection,
    stop: threading.Event,
    member: Member | None,
    lock: ProcessLock | None,
) -> Iterator[Callable[[], None]]:
    """Lease of the run; yields the check before a flush that no other run has taken over."""
    if member is None:
        group, name = settings.track.group, lock.name if lock else None
        with RunLease(connection, group, instance=name, stopping=stop.is_set) as lease:
            fence_writers(connection, group, stop.is_set)
            yield lease.verify
        return
    with closing(Fence(connection, settings.track.group, member.token)) as fence:
        yield fence.verify


def of_member(settings: TelemetrySettings, index: int) -> TelemetrySettings:
    """Each member answers on a port of its own, beginning with the one that is set."""
    port = settings.port + index if settings.port else 0
    return msgspec.structs.replace(settings, port=port)


def assemble(
    settings: Settings,
    connection: Connection,
    producer: Producer,
    store: SqliteShardStore,
    watch: TrackMetrics,
    stop: threading.Event,
    member: Member | None = None,
    *,
    time: BrokerTime | None = None,
    stack: ExitStack,
    limits: MessageLimits | None = None,
) -> Track:
    """The dataflow's parts, by the settings; `time` has had its first heartbeat.

    Without `time` the clock is the recorded one, or the caller puts one into the source. `stack`
    closes what is opened here.
    """
    time = time or BrokerTime()
    table = lifecycle_of(settings)
    rules = rules_of(settings, table)
    if settings.track.clock == "broker":
        check_calendars(rules, now_ms())
    watch.follow_rules(rules)
    keys = FileKeyStore(Path(settings.privacy.keys), expected=store.meta.key_file)
    store.name_key_file(keys.file)
    decoder = Decoder(
        Intake(table, rules),
        lambda data, event: seal_event(data, event, keys),
        lambda data, headers: seal_rejected(data, keys, headers),
        keys.batch,
        Links(lambda: keys.is_linking, lambda event: link_event(event, keys)),
    )
    layout = stack.enter_context(LayoutWatch(connection, topics.EVENTS))
    source = SourceSettings(
        connection=connection,
        topic=topics.EVENTS,
        group=settings.track.group,
        clock=settings.track.clock,
        margin_ms=settings.track.margin_ms,
        epoch_ms=settings.track.epoch_ms,
        tasks=SOURCE_TASKS,
        now=time.now,
        proven=time.proven,
        recorded_ahead_ms=parse_duration(settings.track.recorded_ahead, of="track.recorded_ahead"),
        stopping=stop.is_set,
        count_partitions=lambda: layout.now().partitions,
        decoder=decoder,
        metrics=watch,
        topic_id=lambda: layout.now().topic_id,
        is_alone=member is None,
        note=lambda task, state: store.note(EVENTS, task_key(task), state),
        closing=stack.callback,
    )
    return Track(
        table=table,
        rules=rules,
        source=source,
        store=store,
        producer=producer,
        limits=limits or MessageLimits(connection, OUTPUTS),
        metrics=watch,
        releases=read_releases(Path(settings.track.folder)),
        worker=Worker(member.index, len(member.addresses)) if member else Worker(),
    )
