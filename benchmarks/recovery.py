"""`python -m benchmarks recovery`: what the shard store costs an epoch, and a restart.

python -m benchmarks recovery                              100,000 live orders
python -m benchmarks recovery --orders 100000 --orders 1000000
python -m benchmarks recovery --orders 5000000 --epochs 400 --folder /var/tmp
python -m benchmarks recovery --s3 http://127.0.0.1:9000/bucket --orders 1000000
python -m benchmarks recovery --out docs/benchmarks.md     update its section

With `--s3` every commit is an object in that bucket first, which must exist; the credentials are
AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.

Live orders are packed ones of `events.Traffic` with hashes of their own, and each has two numbers
(waybill, ERP) in a resolver shard. In an epoch as many orders change as `--rate` events a second
touch in `--epoch-ms`; then comes what the dataflow does at its end: all shards ask whether they are
to write a base, are encoded and staged, and the store commits. No fact is judged, nothing is
produced. Epochs follow each other without pause. The restart is a process of its own: it imports,
opens the store and restores all shards. The file lies in the page cache by then.
"""

import multiprocessing
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import click

from benchmarks.core import short_lived
from benchmarks.memory import resident_bytes
from benchmarks.population import Epoch, Population
from benchmarks.report import Section, machine, put_sections, table
from dataflows.core.resolve import Resolver
from dataflows.core.routing import SHARDS
from dataflows.core.shard import Shard
from dataflows.definition_files import read_rules
from dataflows.state.local.sqlite import SqliteShardStore
from dataflows.state.local.state_files import StateFiles
from dataflows.state.remote.bucket import Bucket, Patience
from dataflows.state.remote.log import StoredObjects
from dataflows.state.remote.run_start import Plan, begin_run
from dataflows.state.remote.store import ObjectShardStore
from dataflows.state.store import Pointer
from dataflows.steps import decode_resolver
from dataflows.track import NUMBER_SHARDS
from schemas.settings.model import StateSettings
from telemetry.collector import collect_seldom

SEED = 20_161_004
FILE = "shards.sqlite"


class Restart(NamedTuple):
    """Seconds of wall time that a new process took for each part, and what it held then."""

    import_s: float
    open_s: float
    decode_s: float
    restore_s: float
    cpu_s: float
    orders: int
    numbers: int
    grown_bytes: int


def restart(pipe: Connection, path: Path, pointers: dict[str, Pointer], began_at: float) -> None:
    """Run the steps of a starting `track` in this new process, which began at `began_at`."""
    import_s = time.time() - began_at
    collect_seldom()
    before_bytes, cpu = resident_bytes(), time.process_time()
    lifecycle = short_lived()
    rules = read_rules(None, lifecycle)
    store = SqliteShardStore(path, len(SHARDS))
    shards = [Shard(lifecycle, rules, {}) for _ in SHARDS]
    resolvers = [Resolver() for _ in SHARDS]
    parts = [
        *(
            resume(store, name, pointers[name], decode_resolver, resolver.restore)
            for name, resolver in zip(NUMBER_SHARDS, resolvers, strict=True)
        ),
        *(
            resume(store, name, pointers[name], bytes, shard.restore)
            for name, shard in zip(SHARDS, shards, strict=True)
        ),
    ]
    cpu_s = time.process_time() - cpu
    store.close()
    grown_bytes = resident_bytes() - before_bytes
    open_s, decode_s, restore_s = (sum(part[i] for part in parts) for i in range(3))
    live = sum(shard.order_count for shard in shards)
    known = sum(len(resolver.numbers) for resolver in resolvers)
    pipe.send(Restart(import_s, open_s, decode_s, restore_s, cpu_s, live, known, grown_bytes))


def resume(
    store: SqliteShardStore,
    name: str,
    pointer: Pointer,
    decode: Callable[[bytes], Any],
    restore: Callable[[list[Any]], object],
) -> tuple[float, float, float]:
    """Give a shard its state: seconds for opening, decoding, restoring."""
    began = time.perf_counter()
    blobs = store.open(name, pointer)
    opened = time.perf_counter()
    parts = [decode(blob) for blob in blobs]
    decoded = time.perf_counter()
    restore(parts)
    return opened - began, decoded - opened, time.perf_counter() - decoded


def restarted(path: Path, pointers: dict[str, Pointer]) -> Restart:
    """Restart in a new process."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=restart, args=(theirs, path, pointers, time.time()))
    process.start()
    theirs.close()
    found: Restart = ours.recv()
    process.join()
    return found


def store_in(folder: Path, s3: str | None) -> SqliteShardStore:
    """A new store in a folder, with an S3 address also in its bucket, under a new prefix."""
    if s3 is None:
        return SqliteShardStore(folder / FILE, len(SHARDS))
    endpoint, _, name = s3.rpartition("/")
    settings = StateSettings(bucket=name, endpoint=endpoint, prefix=folder.name)
    objects = StoredObjects(Bucket(settings, "000"), Patience(lambda: False, print))
    place = StateFiles(folder / FILE, folder / "recovery", len(SHARDS))
    run = begin_run(objects, place, Plan(members=1))
    return ObjectShardStore(folder / FILE, objects, len(SHARDS), run)


def measure(
    folder: Path, orders: int, epochs: int, changed: int, seed: int, *, s3: str | None = None
) -> str:
    """Fill, let epochs go by, restart; the tables."""
    population = Population(store_in(folder, s3), orders, seed)
    first = population.first()
    done = []
    for _ in range(epochs):
        population.change(changed)
        done.append(population.end_epoch())
    population.store.close()
    held_bytes = resident_bytes()
    pointers = population.pointers
    del population
    size_bytes = (folder / FILE).stat().st_size
    return "\n\n".join(
        [
            f"{orders:,} live orders, {2 * orders:,} numbers; {changed:,} orders change an epoch",
            epoch_table(first, done),
            (
                f"store {size_bytes / 1e6:,.0f} MB, {size_bytes / orders:,.0f} bytes a live order; "
                f"{held_bytes / 2**20:,.0f} MiB resident while the epochs went by"
            ),
            restart_table(restarted(folder / FILE, pointers)),
        ]
    )


def epoch_table(first: Epoch, done: Sequence[Epoch]) -> str:
    """Duration of an epoch's end; beside it the one with all bases at once."""
    heads = ["an epoch's end", "median", "p99", "longest", "all bases at once"]
    rows = [
        [name, *(f"{scale * value:,.{digits}f}" for value in (*spots(done, field), first[field]))]
        for name, field, scale, digits in (
            ("wall ms (encode, stage, commit)", 0, 1e3, 0),
            ("of it commit", 2, 1e3, 0),
            ("CPU ms", 1, 1e3, 0),
            ("bases", 3, 1, 0),
            ("their MB as encoded", 4, 1e-6, 1),
        )
    ]
    return table(heads, rows)


def spots(done: Sequence[Epoch], field: int) -> tuple[float, float, float]:
    """Median, 99th percentile and most of a field."""
    values = sorted(epoch[field] for epoch in done)
    return statistics.median(values), values[len(values) * 99 // 100], values[-1]


def restart_table(found: Restart) -> str:
    """Cost of a restart."""
    heads = ["restart, s", "imports", "open", "decode", "restore", "all", "CPU", "MiB grown"]
    parts = (found.import_s, found.open_s, found.decode_s, found.restore_s)
    row = [
        f"{found.orders:,} orders, {found.numbers:,} numbers",
        *(f"{value:.2f}" for value in (*parts, sum(parts), found.cpu_s)),
        f"{found.grown_bytes / 2**20:,.0f}",
    ]
    return table(heads, [row])


@click.command()
@click.option("--orders", type=click.IntRange(1_000, 5_000_000), default=[100_000], multiple=True)
@click.option("--epochs", type=click.IntRange(1), default=300, show_default=True)
@click.option("--epoch-ms", type=click.IntRange(1), default=200, show_default=True)
@click.option("--rate", type=click.IntRange(1), default=20_000, show_default=True, help="events/s")
@click.option("--quick", is_flag=True, help="a smoke run of seconds; its figures mean nothing")
@click.option("--seed", default=SEED, show_default=True)
@click.option("--folder", type=click.Path(path_type=Path), help="on which disk (default: TMPDIR)")
@click.option("--s3", help="e.g. http://127.0.0.1:9000/bucket: commits to it as well")
@click.option("--out", type=click.Path(path_type=Path, exists=True), help="update its section")
def recovery(  # noqa: PLR0913  # a command has as many parameters as it has options
    *,
    orders: tuple[int, ...],
    epochs: int,
    epoch_ms: int,
    rate: int,
    quick: bool,
    seed: int,
    folder: Path | None,
    s3: str | None,
    out: Path | None,
) -> None:
    """Measure the longest epoch, the restart and the size of the shard store."""
    collect_seldom()
    said = machine(seed)
    if quick:
        orders, epochs, rate = (1_000,), 5, 100
    changed = rate * epoch_ms // 1000
    texts = [measure_in(folder, size, epochs, changed, seed, s3=s3) for size in orders]
    section = Section("recovery", "\n\n".join([said, *texts]))
    click.echo(f"## {section.name}\n\n{section.text}\n")
    if out:
        put_sections(out, [section])


def measure_in(
    folder: Path | None, orders: int, epochs: int, changed: int, seed: int, *, s3: str | None
) -> str:
    """Measure in a folder of its own below `folder`, which goes with it."""
    place = Path(tempfile.mkdtemp(prefix="recovery-", dir=folder))
    try:
        return measure(place, orders, epochs, changed, seed, s3=s3)
    finally:
        shutil.rmtree(place)
