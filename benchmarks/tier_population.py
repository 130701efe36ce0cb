"""Orders for look-ups in every tier: hot in Redis, warm in Elasticsearch, a month in the archive.

Messages of a month of the benchmarks' load, as `track` publishes them, are copied under other ids
and written by the tiers themselves: the hot and the warm one get the last document of each order
and its events, the archive every message by arrival, sealed in small files that its own compaction
then merges. The population lies in a folder with the servers' data, and can be used again.
"""

import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import click
import msgspec

from benchmarks.core import in_batches
from benchmarks.tier_templates import DAYS, PARTITIONS, Copies, Line, Month, key_of
from commands.wiring.definitions import vocabulary_of
from deploy.installation import to_toml
from deploy.stack.elasticsearch import Elasticsearch
from deploy.stack.hdfs import DataNode, NameNode
from deploy.stack.redis import Redis
from deploy.stack.server import Server
from schemas import topics
from schemas.errors import OrdertideError
from schemas.instants import parse_duration
from schemas.settings.model import Settings, read_settings
from storage_tiering.archive.chain import SegmentChains
from storage_tiering.archive.compaction import CompactionSettings
from storage_tiering.archive.opening import archive_files
from storage_tiering.archive.parquet import ArchiveSettings, ParquetTier
from storage_tiering.hot.access import Access, connect
from storage_tiering.hot.opening import open_hot
from storage_tiering.tier import EventRecord, OrderRecord, Tier
from storage_tiering.warm.opening import open_elastic

BATCH = 1_000
SEALS_A_DAY = 3  # of each partition of the archive
SAMPLE = 20_000  # ids of each tier that are looked up
TELL_EVERY_S, SAVE_TIMEOUT_S = 15.0, 600.0
ELASTIC_HEAP_MB = 1_024
FILLED = "filled.json"

Tables = dict[str, Mapping[str, object]]


class Amounts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Orders of the hot and the warm tier, and events of the archive."""

    hot: int = 200_000
    warm: int = 300_000
    archived: int = 5_000_000


class Filled(msgspec.Struct, kw_only=True):
    """A population: its amounts, what the complete parts hold, and the time it took."""

    amounts: Amounts
    on_hdfs: bool
    parts: dict[str, str] = {}
    took_s: float = 0.0

    def save(self, folder: Path) -> None:
        """Write it into the population's folder."""
        (folder / FILLED).write_bytes(msgspec.json.encode(self))


# ---------------------------------------------------------------- filling
class Progress:
    """Progress of a part, shown from time to time."""

    def __init__(self, name: str, total: int) -> None:
        """Create the progress of a part that begins now."""
        self.name, self.total, self.done = name, total, 0
        self.began_s = self.shown_s = time.monotonic()

    def add(self, count: int) -> None:
        """Note that so much more is done."""
        self.done += count
        now_s = time.monotonic()
        if now_s - self.shown_s >= TELL_EVERY_S:
            self.shown_s = now_s
            rate = self.done / (now_s - self.began_s)
            click.echo(f"{self.name}: {self.done:,} of {self.total:,}, {rate:,.0f}/s", err=True)

    @property
    def took_s(self) -> float:
        return time.monotonic() - self.began_s


def write(tier: Tier, batch: Sequence[OrderRecord | EventRecord]) -> None:
    """Write records, and make those durable that are due."""
    tier.write_orders([record for record in batch if isinstance(record, OrderRecord)])
    tier.write_events([record for record in batch if isinstance(record, EventRecord)])
    tier.flush()


def fill_latest(tier: Tier, orders: int, first_copy: int, since_at: int, month: Month) -> list[str]:
    """Write so many orders as they are at the month's end; the ids of some."""
    templates, places = month.latest(since_at), Copies()
    progress = Progress(
        f"{tier.name}, records", orders * sum(map(len, templates)) // len(templates)
    )

    def records() -> Iterator[OrderRecord | EventRecord]:
        for number in range(orders):
            copy, template = divmod(number, len(templates))
            lines = templates[template]
            key = key_of(lines[0], first_copy + copy, month.orders)
            names.append(key.decode())
            for line in lines:
                yield places.record(line, key)

    names: list[str] = []
    for batch in in_batches(records(), BATCH):
        write(tier, batch)
        progress.add(len(batch))
    tier.expire(month.watermark)
    tier.flush(force=True)
    tier.note(places.next)
    return names[:: max(1, len(names) // SAMPLE)]


def fill_hot(settings: Settings, amounts: Amounts) -> tuple[list[str], str]:
    """Fill Redis and save it."""
    month = Month()
    copy = month.copies(amounts.archived) + -(-amounts.warm // len(month.latest()))
    since_at = month.watermark - parse_duration(settings.hot.keep, of="hot.keep")
    tier = open_hot(settings)
    names = fill_latest(tier, amounts.hot, copy, since_at, month)
    counts = tier.counts()
    tier.close()
    client = connect(settings.hot.url, Access(timeout_s=SAVE_TIMEOUT_S))
    client.save()
    client.close()
    return names, f"{counts.orders:,} orders, {counts.events:,} events in Redis"


def fill_warm(settings: Settings, amounts: Amounts) -> tuple[list[str], str]:
    """Fill Elasticsearch."""
    month = Month()
    tier = open_elastic(settings)
    list(tier.templates.install(vocabulary_of(settings), tier.periods))
    names = fill_latest(tier, amounts.warm, month.copies(amounts.archived), 0, month)
    counts = tier.counts()
    tier.close()
    return names, f"{counts.orders:,} orders, {counts.events:,} events in Elasticsearch"


def fill_archive(topic: str, settings: Settings, amounts: Amounts) -> tuple[list[str], str]:
    """Fill a topic of the archive by arrival, in small files, and merge them."""
    month = Month()
    lines = [line for line in month.lines if line.topic == topic]
    copies, places = month.copies(amounts.archived), Copies()
    seal_rows = max(1, len(lines) * copies // (DAYS * SEALS_A_DAY))
    archive = ArchiveSettings(seal_rows=seal_rows, seal_age_s=None)
    tier = ParquetTier(archive_files(settings), archive)
    progress = Progress(f"archive, {topic}", len(lines) * copies)

    def records(line: Line) -> Iterator[OrderRecord | EventRecord]:
        for copy in range(copies):
            yield places.record(line, key_of(line, copy, month.orders))

    for line in lines:
        tier.expire(line.at)
        write(tier, list(records(line)))
        progress.add(copies)
    tier.flush(force=True)
    chains = SegmentChains(archive_files(settings))
    sealed = len(chains.manifests(topic))
    merge(tier, topic)
    files = chains.manifests(topic)
    rows = sum(each.content.rows for each in files)
    size_mib = sum(each.size_bytes for each in files) / 2**20
    keys = {key_of(line, copy, month.orders) for line in lines for copy in range(copies)}
    names = sorted(key.decode() for key in keys)
    text = f"{rows:,} rows in {len(files):,} files of {size_mib:,.0f} MiB, merged of {sealed:,}"
    return names[:: max(1, len(names) // SAMPLE)], text


def merge(tier: ParquetTier, topic: str) -> None:
    """Compact a topic, and delete what was merged."""
    compaction = tier.compaction(CompactionSettings(keep_s=0))
    due = compaction.plan({(topic, partition) for partition in range(PARTITIONS)})
    progress = Progress(f"archive, merging {topic}", sum(one.rows for one in due))
    for done in compaction.run(due, progress.add):
        if done.size_bytes is None:
            raise OrdertideError(f"{done.merge}: {done.damage or 'another process merged it'}")
    compaction.forget_replaced()


FILLS: dict[str, Callable[[Settings, Amounts], tuple[list[str], str]]] = {
    "warm": fill_warm,
    topics.ORDERS_CHANGES: partial(fill_archive, topics.ORDERS_CHANGES),
    topics.ORDERS_EVENTS: partial(fill_archive, topics.ORDERS_EVENTS),
    "hot": fill_hot,
}
SAMPLES = {"hot": "hot", "warm": "warm", "archive": topics.ORDERS_CHANGES}


def fill(folder: Path, tables: Tables, filled: Filled) -> None:
    """Fill the parts that aren't complete, two at a time, the longest first."""
    path = folder / "fill.toml"
    path.write_text(to_toml(tables), "utf-8")
    settings, began_s, before_s = read_settings(path, {}), time.monotonic(), filled.took_s
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        running = {
            pool.submit(run, settings, filled.amounts): name
            for name, run in FILLS.items()
            if name not in filled.parts
        }
        for done in as_completed(running):
            name = running[done]
            names, filled.parts[name] = done.result()
            (folder / f"{name}.txt").write_text("\n".join(names), "utf-8")
            filled.took_s = before_s + time.monotonic() - began_s
            filled.save(folder)
            click.echo(f"{name}: {filled.parts[name]}, after {filled.took_s:,.0f} s", err=True)


# ---------------------------------------------------------------- the folder
@contextmanager
def population(
    folder: Path, amounts: Amounts, *, on_hdfs: bool
) -> Iterator[tuple[Filled, Tables, dict[str, list[str]]]]:
    """The population of a folder, filled where it isn't: settings of its tiers, ids of each.

    Its servers run during the block. A filling that was interrupted is resumed: tiers ignore what
    they hold already.

    Raises:
        OrdertideError: the folder is for another population.
    """
    filled = held(folder, amounts, on_hdfs=on_hdfs)
    with ExitStack() as stack:
        tables = running(stack, folder, on_hdfs=on_hdfs)
        fill(folder, tables, filled)
        names = {
            tier: (folder / f"{name}.txt").read_text("utf-8").split()
            for tier, name in SAMPLES.items()
        }
        yield filled, tables, names


def held(folder: Path, amounts: Amounts, *, on_hdfs: bool) -> Filled:
    """Contents of a folder, of this population; a new one is noted in it."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / FILLED).exists():
        if any(folder.iterdir()):
            raise OrdertideError(f"{folder}: holds something else; name another folder")
        Filled(amounts=amounts, on_hdfs=on_hdfs).save(folder)
    found = msgspec.json.decode((folder / FILLED).read_bytes(), type=Filled)
    if (found.amounts, found.on_hdfs) != (amounts, on_hdfs):
        where = "on HDFS" if found.on_hdfs else "in a local folder"
        raise OrdertideError(
            f"{folder}: is for {found.amounts.hot:,} hot and {found.amounts.warm:,} warm orders "
            f"and {found.amounts.archived:,} archived events {where}; ask for these, or name "
            "another folder"
        )
    return found


def running(stack: ExitStack, folder: Path, *, on_hdfs: bool) -> Tables:
    """Start the servers with their data in the folder; the settings of the tiers."""
    redis = Redis(folder / "redis", options={"appendonly": "no"})
    elastic = Elasticsearch(folder / "elasticsearch", heap_mb=ELASTIC_HEAP_MB)
    servers: list[Server] = [redis, elastic]
    archive: dict[str, object] = {"folder": str(folder / "archive")}
    if on_hdfs:
        namenode = NameNode(folder / "namenode")
        servers += [namenode, DataNode(folder / "datanode", namenode)]
        web, rpc = (namenode.address[kind].partition("//")[2] for kind in ("web", "rpc"))
        user = namenode.address["user"]
        archive = {"folder": "/ordertide", "webhdfs": web, "namenodes": rpc, "user": user}
    for server in servers:
        stack.enter_context(server)
    return {
        "track": {"clock": "recorded"},
        "hot": {"url": redis.address["url"]},
        "warm": {"url": elastic.address["url"]},
        "archive": archive,
    }
