"""View of `ordertide state inspect`."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from commands.state.contents import from_last_base, holds_numbers, read_numbers, read_orders
from commands.state.files import StateFiles, shown
from commands.wiring.wording import shown_ms
from dataflows.source import SOURCE_TASKS
from dataflows.state.local.chain import BlobInfo
from dataflows.state.local.reader import Held
from dataflows.state.states import StepState
from dataflows.watermarks import Watermarks
from telemetry.screen import Column

COLUMNS = [
    Column(head, is_number=True)
    for head in (
        "shard", "live", "retired", "bases", "MB", "deltas", "MB", "chain", "resumable", "at"
    )
]  # fmt: skip


class Inside(msgspec.Struct, frozen=True, kw_only=True):
    """Content of a shard's blobs; of a resolver shard only `numbers` and `waiting`."""

    live: int = 0
    numbers: int = 0
    waiting: int = 0
    digest: str = ""
    formats: dict[int, int] = {}


class ShardView(msgspec.Struct, frozen=True, kw_only=True):
    """A shard.

    `oldest` to `latest` are the sequences that a resume can name, `pointer` the one it would (None
    where there is no recovery folder). `chain` is how many blobs that resume would read.
    """

    shard: str
    oldest: int
    latest: int
    pointer: int | None
    clock_ms: int
    blobs: int
    bases: int
    base_bytes: int
    deltas: int
    delta_bytes: int
    chain: int
    retired: int
    inside: Inside | None


class StateView(msgspec.Struct, frozen=True, kw_only=True):
    """A store. Counts are None when `quick`.

    `clock_ms` is the stream clock of the shard furthest behind, 0 where it isn't known.
    """

    path: str
    store: str
    in_use_by: str | None
    layout: int
    shards_made_for: int
    sequence: int
    commits: int
    size_bytes: int
    resume_epoch: int | None
    oldest_pointer: int | None
    blob_versions: dict[int, int]
    order_formats: dict[int, int] | None
    digests: list[str] | None
    clock_ms: int
    live: int | None
    retired: int
    numbers: int | None
    waiting: int | None
    shards: list[ShardView]


def inspect(files: StateFiles, *, is_quick: bool) -> StateView:
    """Inspect every shard, and the content of its blobs unless `is_quick`.

    Raises:
        StateError: the file or a blob is damaged: verify reports more.
    """
    names = files.reader.shards()
    states = files.states()
    shards = [
        shard_view(files, name, states.get(name), is_quick=is_quick)
        for name in shown(names, "reading shards", len(names))
    ]
    meta, recovery = files.reader.meta, files.recovery
    insides = [shard.inside for shard in shards if shard.inside]
    watermarks = [shard.clock_ms for shard in shards if not holds_numbers(shard.shard)]
    formats = sum((Counter(inside.formats) for inside in insides), Counter[int]())
    return StateView(
        path=str(files.reader.path),
        store=meta.store,
        in_use_by=files.in_use_by,
        layout=meta.layout,
        shards_made_for=meta.shards,
        sequence=meta.sequence,
        commits=meta.commits,
        size_bytes=files.reader.size_bytes(),
        resume_epoch=recovery.resume_epoch if recovery else None,
        oldest_pointer=min((state.pointer.sequence for state in states.values()), default=None),
        blob_versions=files.reader.versions(),
        order_formats=None if is_quick else dict(sorted(formats.items())),
        digests=None if is_quick else sorted({i.digest for i in insides if i.digest}),
        clock_ms=min(watermarks, default=0),
        live=None if is_quick else sum(inside.live for inside in insides),
        retired=sum(shard.retired for shard in shards),
        numbers=None if is_quick else sum(inside.numbers for inside in insides),
        waiting=None if is_quick else sum(inside.waiting for inside in insides),
        shards=shards,
    )


def shard_view(
    files: StateFiles, shard: str, state: StepState | None, *, is_quick: bool
) -> ShardView:
    """One shard; `state` is what bytewax keeps of it."""
    pointer = state.pointer.sequence if state else None
    held = files.reader.held(shard)
    links = held.links
    resumed = [link for link in links if pointer is None or link.sequence <= pointer]
    bases = [link for link in links if link.base]
    deltas = [link for link in links if not link.base]
    return ShardView(
        shard=shard,
        oldest=oldest(held),
        latest=links[-1].sequence if links else 0,
        pointer=pointer,
        clock_ms=Watermarks(SOURCE_TASKS, state.watermarks).watermark if state else 0,
        blobs=len(links),
        bases=len(bases),
        base_bytes=sum(link.size_bytes for link in bases),
        deltas=len(deltas),
        delta_bytes=sum(link.size_bytes for link in deltas),
        chain=len(from_last_base(resumed)),
        retired=files.reader.retired_orders(shard),
        inside=None if is_quick else inside_of(files, shard, resumed),
    )


def oldest(held: Held) -> int:
    """The oldest sequence that a resume may name."""
    return next((link.sequence for link in held.links if link.sequence >= held.floor), 0)


def inside_of(files: StateFiles, shard: str, links: Sequence[BlobInfo]) -> Inside | None:
    """Content of the blobs; None without any."""
    if not from_last_base(links):
        return None
    if holds_numbers(shard):
        numbers = read_numbers(files.reader, shard, links)
        return Inside(numbers=numbers.held, waiting=numbers.waiting)
    orders, last = read_orders(files.reader, shard, links)
    return Inside(
        live=len(orders),
        waiting=len(last.pending),
        digest=last.digest,
        formats=Counter(data[0] for data in orders.values()),
    )


def head(view: StateView) -> list[str]:
    """The store as a whole."""
    use = f"in use by process {view.in_use_by}" if view.in_use_by else "not in use"
    pointers = "no recovery folder beside it: bytewax's pointers are unknown"
    if view.resume_epoch is not None:
        pointers = f"resume at epoch {view.resume_epoch}; oldest pointer {view.oldest_pointer}"
    counts = f"{view.commits:,} commits, {view.sequence:,} blobs so far"
    lines = [
        f"{view.path}: {megabytes(view.size_bytes)}, {use}",
        f"store {view.store}, layout {view.layout}, for {view.shards_made_for} shards; {counts}",
        pointers,
        f"clock {shown_ms(view.clock_ms or None)}",
        f"blobs and rows by version: {counted(view.blob_versions)}",
    ]
    if view.live is None:
        return [*lines, f"{view.retired:,} retired orders"]
    orders = f"{view.live:,} live orders, {view.retired:,} retired"
    return [
        *lines,
        f"orders by format: {counted(view.order_formats or {})}",
        f"{orders}, {view.numbers:,} numbers, {view.waiting:,} events waiting",
        *(f"rules-lifecycle {digest}" for digest in view.digests or []),
    ]


def counted(counts: dict[int, int]) -> str:
    """`1: 300, 2: 17`."""
    return ", ".join(f"{name}: {count:,}" for name, count in counts.items()) or "none"


def rows(shards: Sequence[ShardView]) -> list[tuple[str, ...]]:
    """The cells of `COLUMNS` for each shard."""
    return [
        (
            shard.shard,
            "-" if shard.inside is None else f"{shard.inside.live or shard.inside.numbers:,}",
            f"{shard.retired:,}",
            str(shard.bases),
            f"{shard.base_bytes / 1e6:.2f}",
            str(shard.deltas),
            f"{shard.delta_bytes / 1e6:.2f}",
            str(shard.chain),
            f"{shard.oldest}-{shard.latest}",
            str(shard.pointer or "-"),
        )
        for shard in shards
    ]


def megabytes(size_bytes: int) -> str:
    """`12.3 MB`."""
    return f"{size_bytes / 1e6:,.1f} MB"
