"""`ordertide track`: the dataflow, from the topic `events` to orders, alerts and actions."""

import logging
import signal
import threading
import time
from pathlib import Path

import click
from bytewax.testing import cluster_main

from broker.connect import Connection
from broker.embedded import embedded_connection
from broker.layout import LayoutWatch
from broker.lease import RunLease
from broker.produce import Producer
from broker.reach import reach
from broker.security import security_properties
from broker.topic_settings import check_topics
from broker.topics import ensure_topics
from commands.track_watch import TrackWatch
from dataflows.core.intake import Intake
from dataflows.core.routing import SHARDS
from dataflows.decoding import Decoder
from dataflows.slot import SourceSettings
from dataflows.source import SLOTS
from dataflows.state.layout import LITTLE_BYTES
from dataflows.state.room import free_bytes, no_room
from dataflows.state.sqlite import SqliteShardStore
from dataflows.state.store import StoreFull
from dataflows.tables import read_lifecycle, read_rules
from dataflows.track import EPOCH, Track, build, recovery
from privacy.keys import FileKeyStore
from privacy.originals import seal_rejected
from privacy.seal import seal_event
from schemas import topics
from schemas.errors import OrdertideError, StateError
from schemas.settings import BrokerSettings, Settings, read_settings
from telemetry.log import configure

LOGGER = logging.getLogger("ordertide.track")
PARTITIONS = 8  # of a topic that is created


@click.command("track")
@click.option("--settings", "path", type=click.Path(path_type=Path), help="settings file (TOML)")
def command(path: Path | None) -> None:
    """Follow every order: read `events`, write orders.changes, orders.actions and the rest.

    Ends cleanly on SIGTERM and Ctrl-C; started again, it goes on where it was.

    \b
    ordertide track --settings ordertide.toml
    ORDERTIDE_BROKER_BOOTSTRAP=kafka:9092 ordertide track
    """
    run(read_settings(path))


def connection_of(settings: BrokerSettings) -> Connection:
    """How to reach the broker."""
    if settings.embedded:
        return embedded_connection(settings.bootstrap)
    return Connection(settings.bootstrap, {**security_properties(settings), **settings.properties})


def run(settings: Settings) -> None:
    """Run the dataflow until it is told to stop.

    Raises:
        OrdertideError: the settings, the state or the broker can't be used.
    """
    configure(settings.telemetry.level, json=settings.telemetry.logs == "json")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    connection = connection_of(settings.broker)
    if not settings.broker.embedded:
        prepare_topics(connection)
    folder = Path(settings.track.folder)
    folder.mkdir(parents=True, exist_ok=True)
    store = SqliteShardStore(folder / "shards.sqlite", len(SHARDS))
    try:
        check_recovery(store, folder)
        watch = TrackWatch(settings.telemetry, now_ms, folder / "shards.sqlite")
        with (
            RunLease(connection, settings.track.group, stopping=stop.is_set) as lease,
            Producer(connection, before_flush=lease.verify) as producer,
            watch,
        ):
            track = assemble(settings, connection, producer, store, watch, stop)
            cluster_main(  # type: ignore[no-untyped-call]  # bytewax has no stubs for it
                build(track),
                [],
                0,
                epoch_interval=EPOCH,
                worker_count_per_proc=settings.track.workers,
                recovery_config=recovery(folder / "recovery"),
            )
    except BaseException as error:
        if is_of_bytewax(error) and (reason := reason_of(error) or want_of_room(error, folder)):
            raise reason from error
        raise
    finally:
        store.close()


def prepare_topics(connection: Connection) -> None:
    """Say which settings of the topics differ, and create those that are missing."""
    reach(connection)
    for finding in check_topics(connection):
        LOGGER.warning("%s", finding)
    ensure_topics(connection, PARTITIONS, topics=(*topics.TOPICS, topics.LEASE))


def reason_of(error: BaseException) -> OrdertideError | None:
    """What we raised inside a step, which bytewax wraps; None if it was nothing of ours."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OrdertideError):
        cause = cause.__cause__ or cause.__context__
    return cause


def is_of_bytewax(error: BaseException) -> bool:
    """Whether bytewax raised it: an error that wraps a step's, or one of its own panics.

    PyO3's PanicException is no Exception, and can't be imported.
    """
    return isinstance(error, RuntimeError) or type(error).__name__ == "PanicException"


def want_of_room(error: BaseException, folder: Path) -> StoreFull | None:
    """The full disk behind an error of bytewax; None if it was something else.

    bytewax 0.21 panics where its recovery files find no room, which can be before our own store
    looks; what it says then ("disk I/O error") isn't clear.
    """
    if not is_of_bytewax(error) or free_bytes(folder) >= LITTLE_BYTES:
        return None
    return no_room(folder, "bytewax could not write its recovery files")


def check_recovery(store: SqliteShardStore, folder: Path) -> None:
    """Refuse to begin anew over state that is there: without its pointers it would be dropped.

    Raises:
        StateError: names both folders and the way out.
    """
    if store.inspect().held and not (folder / "recovery").exists():
        raise StateError(
            f"{folder / 'recovery'} is missing while {folder / 'shards.sqlite'} holds orders: "
            "put the folder back, or move the store away to begin anew"
        )


def assemble(
    settings: Settings,
    connection: Connection,
    producer: Producer,
    store: SqliteShardStore,
    watch: TrackWatch,
    stop: threading.Event,
) -> Track:
    """The dataflow's parts, by the settings."""
    table = read_lifecycle(path_of(settings.track.lifecycle))
    rules = read_rules(path_of(settings.track.rules), table)
    keys = FileKeyStore(Path(settings.privacy.keys))
    decoder = Decoder(
        Intake(table, rules),
        lambda data, event: seal_event(data, event, keys),
        lambda data: seal_rejected(data, keys),
        keys.batch,
    )
    layout = LayoutWatch(connection, topics.EVENTS)
    source = SourceSettings(
        connection=connection,
        topic=topics.EVENTS,
        group=settings.track.group,
        clock=settings.track.clock,
        margin_ms=settings.track.margin_ms,
        epoch_ms=settings.track.epoch_ms,
        slots=SLOTS,
        now=now_ms,
        stopping=stop.is_set,
        count_partitions=lambda: layout.now().partitions,
        decoder=decoder,
        watch=watch,
        topic_id=lambda: layout.now().topic_id,
    )
    return Track(
        table=table, rules=rules, source=source, store=store, producer=producer, watch=watch
    )


def now_ms() -> int:
    """The present."""
    return time.time_ns() // 1_000_000


def path_of(text: str | None) -> Path | None:
    """A path that may not be set."""
    return Path(text) if text else None
