"""Start of a flow's state: refused over traces of an earlier one, unless requested.

`track` calls this with the run lease and the lock on the state file. With `--begin-anew` the record
of the new generation is written first, then tombstones for the documents of earlier generations,
and the old state is removed last: a crash in between leaves a state that is older than the record,
which is refused.
"""

import logging
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from broker.connect import Connection
from broker.generations import (
    UNKNOWN,
    GenerationRecord,
    read_published,
    read_traces,
    record_generation,
    recorded_generation,
    retire_published,
)
from broker.produce import Producer
from dataflows.core.routing import SHARDS
from dataflows.state.local.sqlite import SqliteShardStore
from dataflows.state.local.state_files import StateFiles, remove
from dataflows.state.pointers import check_files
from dataflows.state.remote.import_local import refuse_older
from dataflows.state.remote.log import StoredObjects
from dataflows.state.remote.run_start import Origin, fetch_state, last_origin
from schemas.errors import StateError
from schemas.instants import format_instant
from schemas.settings.model import Settings
from schemas.topics import EVENTS as EVENTS_TOPIC
from schemas.versions import MAX_GENERATION

LOGGER = logging.getLogger("ordertide.track")
RESTORE = "restore the state of this flow"
ASK = "or rebuild it from the messages still in the topic: `ordertide track --begin-anew`"


class Start(NamedTuple):
    """Start of a flow: its settings, its broker, the proof that no other run is live, and the time.

    `describe` is the state in a file as a sentence; it raises StateError where it can't be read.
    `begin_anew` discards the state that there is.
    """

    settings: Settings
    connection: Connection
    verify: Callable[[], None]
    now: Callable[[], int]
    describe: Callable[[Path], str]
    begin_anew: bool = False

    @property
    def group(self) -> str:
        """Consumer group of the flow, which names it."""
        return self.settings.track.group


class Launch(NamedTuple):
    """Everything that a flow of several processes is run with.

    `stop` is set when it is told to stop; `command` runs a worker once its own options are added.
    """

    settings: Settings
    connection: Connection
    stop: threading.Event
    command: Sequence[str]
    now: Callable[[], int]
    describe: Callable[[Path], str]
    begin_anew: bool = False

    def start(self, verify: Callable[[], None]) -> Start:
        """The start under a lease that `verify` confirms."""
        return Start(
            self.settings, self.connection, verify, self.now, self.describe, self.begin_anew
        )


def prepare_folder(start: Start, files: StateFiles) -> None:
    """Make the state file of a host ready to be resumed, or to begin.

    Raises:
        StateError: it can't be resumed, or would begin over traces of an earlier state.
    """
    if start.begin_anew:
        origin = next_origin(start, held_in(files), discarded_in(start, files))
        discard(files)
        begin_file(files, origin)
        return
    store = SqliteShardStore(files.path, files.shards, member=0)
    try:
        check_files(store, files)
        if store.meta.commits or store.meta.begun_at:
            check_generation(start, Origin(store.generation, store.meta.begun_at), str(files.path))
        else:
            refuse_traces(start, str(files.path))
            store.begin(0, start.now())
    finally:
        store.close()


def prepare_bucket(start: Start, objects: StoredObjects, files: StateFiles) -> Origin | None:
    """Origin of the state that the next run begins in a bucket; None where it resumes the last.

    Raises:
        StateError: it can't be resumed, or would begin over traces of an earlier state.
    """
    last = resumable(start, objects, files)
    if start.begin_anew:
        if objects.owner():
            fetch_quietly(objects, files)
        held = last.generation if last else UNKNOWN
        origin = next_origin(start, held, discarded_in(start, files))
        if not objects.owner():
            discard(files)
        return origin
    if last:
        check_generation(start, last, objects.bucket.name)
        return None
    refuse_traces(start, objects.bucket.name)
    return Origin(0, start.now())


def resumable(start: Start, objects: StoredObjects, files: StateFiles) -> Origin | None:
    """Origin of the state that the next run would resume; None without one.

    Raises:
        StateError: it can't be read, or is of an older version and not to be discarded.
    """
    if not start.begin_anew:
        refuse_older(objects)
        return last_origin(objects, files)
    try:
        return last_origin(objects, files)
    except StateError as error:
        # Nobody can tell which workers would have to be fenced there.
        raise StateError(
            f"{error}; to begin anew all the same, set another state.prefix"
        ) from error


def fetch_quietly(objects: StoredObjects, files: StateFiles) -> None:
    """Bring this host's files to the end of the bucket, to describe what is discarded."""
    try:
        fetch_state(objects, files)
    except StateError as error:
        LOGGER.warning("track --begin-anew: the state in the bucket can't be read: %s", error)


def next_origin(start: Start, held: int, discarded: str) -> Origin:
    """Origin of a state in a new generation, recorded in the broker; logs what is discarded first.

    `held` is the generation of the state that there is, UNKNOWN without one.

    Raises:
        StateError: all generations have been used.
        Busy: the broker is unavailable.
    """
    traces = read_traces(start.connection, start.group)
    published = read_published(start.connection)
    earlier = 0 if str(traces) else UNKNOWN
    generation = 1 + max(held, traces.generation, published.generation, earlier)
    if generation > MAX_GENERATION:
        raise StateError(
            f"flow {start.group}: generation {generation} is over {MAX_GENERATION}, the highest; "
            "give the flow new topics and tiers"
        )
    origin = Origin(generation, start.now())
    LOGGER.warning(
        "track --begin-anew: discards %s; tombstones for %d published orders; the state is "
        "recreated as generation %d, from the first messages that %s holds",
        *(discarded, len(published.live), generation, EVENTS_TOPIC),
    )
    with Producer(start.connection, before_flush=start.verify) as producer:
        record = GenerationRecord(generation, format_instant(origin.begun_at))
        record_generation(producer, start.group, record)
        retire_published(producer, published, generation)
    return origin


def refuse_traces(start: Start, files: str) -> None:
    """Check that an empty state is the first of its flow.

    Raises:
        StateError: an earlier run has left traces.
    """
    traces = str(read_traces(start.connection, start.group))
    if traces:
        raise StateError(
            f"{files}: holds no state, while the broker shows earlier runs of flow {start.group} "
            f"({traces}); {RESTORE} from a backup, {ASK}"
        )


def check_generation(start: Start, origin: Origin, files: str) -> None:
    """Check that a state is of the flow's last generation: consumers ignore older documents.

    Raises:
        StateError: it is older.
    """
    recorded = recorded_generation(start.connection, start.group)
    if origin.generation < recorded:
        raise StateError(
            f"{files}: state of generation {origin.generation}, while flow {start.group} was "
            f"recreated as generation {recorded}; {RESTORE} from a later backup, {ASK}"
        )


def held_in(files: StateFiles) -> int:
    """Generation of a state file, UNKNOWN without one that can be read."""
    if not files.path.exists():
        return UNKNOWN
    try:
        store = SqliteShardStore(files.path, files.shards, member=0)
    except StateError:
        return UNKNOWN  # `discarded_in` gives the reason why it can't be read
    try:
        return store.generation
    finally:
        store.close()


def discarded_in(start: Start, files: StateFiles) -> str:
    """State of a host, in words: how many orders, since when, how far it has read."""
    if not files.path.exists():
        return f"no state ({files.path} is missing)"
    try:
        return start.describe(files.path)
    except StateError as error:
        return f"a state that can't be read ({error})"


def discard(files: StateFiles) -> None:
    """Remove the state file and the recovery folder of a host."""
    remove(files.path)
    remove_folder(files.recovery)


def remove_folder(folder: Path) -> None:
    """Remove a folder, or the file that lies in its place."""
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder)
    else:
        folder.unlink(missing_ok=True)


def begin_file(files: StateFiles, origin: Origin) -> None:
    """Make a state file for a state that begins."""
    store = SqliteShardStore(files.path, len(SHARDS), member=0)
    try:
        store.begin(*origin)
    finally:
        store.close()
