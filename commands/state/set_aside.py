"""Orders set aside: `ordertide state set-aside` and `ordertide state release`."""

from collections.abc import Iterator, Sequence

import msgspec

from commands.state.contents import from_last_base, holds_numbers, parts
from commands.state.files import StateFiles, shown
from commands.wiring.releases import read_releases, write_releases
from dataflows.core.lifecycle import Lifecycle
from dataflows.core.routing import SHARDS, shard_of
from dataflows.core.rules import Rules
from dataflows.core.set_aside import SetAside
from dataflows.core.shard import Shard
from dataflows.core.snapshots import Snapshot, decode_snapshot
from dataflows.state.local.chain import BlobInfo
from schemas.errors import StateError
from schemas.instants import format_instant
from schemas.keys import order_key, split_order_key
from telemetry.screen import Column

COLUMNS = [
    Column("order"),
    Column("tenant"),
    Column("since"),
    Column("events waiting", is_number=True),
    Column("released in vain", is_number=True),
    Column("reason"),
]


class SetAsideView(msgspec.Struct, frozen=True, kw_only=True):
    """An order set aside; `since` is the arrival or watermark that raised, `waiting` its events.

    `releases` is how often it was released and raised again; with `is_requested` it is released
    when `track` starts next.
    """

    tenant: str
    order_id: str
    since: str
    reason: str
    waiting: int
    releases: int
    is_requested: bool


class Trial(msgspec.Struct, frozen=True):
    """The outcome of releasing an order on a copy: how many events were applied, or the reason."""

    events: int
    reason: str | None


class Rows:
    """The retired orders of a shard, read from a state file."""

    def __init__(self, files: StateFiles, shard: str, sequence: int) -> None:
        """Read the rows that a resume at `sequence` would find."""
        self.files, self.shard, self.sequence = files, shard, sequence

    def get(self, key: str) -> bytes | None:
        """The packed order; None if there is none."""
        for row in self.files.reader.retired_rows_at(self.shard, self.sequence):
            if row.key == key:
                return self.files.reader.retired_order(self.shard, row)
        return None


def list_set_aside(files: StateFiles) -> list[SetAsideView]:
    """Every order set aside, the longest first.

    Raises:
        StateError: a blob is damaged.
    """
    names = [name for name in files.reader.shards() if not holds_numbers(name)]
    requests = read_releases(files.reader.path.parent)
    found = []
    for shard in shown(names, "reading shards", len(names)):
        for key, order in set_aside_in(snapshots_of(files, shard)).items():
            tenant, order_id = split_order_key(key)
            found.append(
                SetAsideView(
                    tenant=tenant,
                    order_id=order_id,
                    since=format_instant(order.since_at),
                    reason=order.reason,
                    waiting=len(order.facts),
                    releases=order.releases,
                    is_requested=requests.get(key) == mark_of(order),
                )
            )
    return sorted(found, key=lambda view: (view.since, view.tenant, view.order_id))


def release(files: StateFiles, table: Lifecycle, rules: Rules, tenant: str, order_id: str) -> Trial:
    """Evaluate an order set aside on a copy; where that succeeds, request its release.

    Raises:
        StateError: the order isn't set aside, a blob is damaged, or the request can't be written.
    """
    key = order_key(tenant, order_id)
    shard = SHARDS[shard_of(key)]
    snapshots = snapshots_of(files, shard) if shard in files.reader.shards() else []
    order = set_aside_in(snapshots).get(key)
    if order is None:
        message = (
            f"order {order_id!r} of {tenant!r}: isn't set aside; "
            "'ordertide state set-aside' lists the orders that are"
        )
        raise StateError(message)
    trial = tried(files, shard, key, table, rules)
    if trial.reason is None:
        folder = files.reader.path.parent
        still = {view_key(view): view for view in list_set_aside(files) if view.is_requested}
        requests = {key: mark for key, mark in read_releases(folder).items() if key in still}
        write_releases(folder, {**requests, key: mark_of(order)})
    return trial


def tried(files: StateFiles, shard: str, key: str, table: Lifecycle, rules: Rules) -> Trial:
    """Release an order in a copy of its shard."""
    links = resumed_links(files, shard)
    copy = Shard(table, rules, Rows(files, shard, links[-1].sequence))
    copy.restore([files.reader.blob(shard, link) for link in links])
    waiting = copy.set_aside()[key].waiting
    copy.release(key)
    again = copy.set_aside().get(key)
    return Trial(waiting, again.reason if again else None)


def snapshots_of(files: StateFiles, shard: str) -> list[Snapshot]:
    """Snapshots of an order shard on a resume; none where it has no base."""
    links = resumed_links(files, shard)
    return list(parts(files.reader, shard, links, decode_snapshot)) if links else []


def resumed_links(files: StateFiles, shard: str) -> Sequence[BlobInfo]:
    """The blobs that a resume reads."""
    return from_last_base(files.resumed(shard))


def set_aside_in(snapshots: Sequence[Snapshot]) -> dict[str, SetAside]:
    """The orders set aside after a base and its deltas."""
    found: dict[str, SetAside] = {}
    for snapshot in snapshots:
        for key, order in snapshot.set_aside:
            if order is None:
                found.pop(key, None)
            else:
                found[key] = order
    return found


def mark_of(order: SetAside) -> tuple[int, int]:
    """Mark that distinguishes this setting aside of the order from others."""
    return order.since_at, order.releases


def view_key(view: SetAsideView) -> str:
    """The key of an order."""
    return order_key(view.tenant, view.order_id)


def rows(views: Sequence[SetAsideView]) -> Iterator[tuple[str, ...]]:
    """The cells of `COLUMNS` for each order."""
    for view in views:
        requested = "; released when track starts next" if view.is_requested else ""
        counts = f"{view.waiting:,}", f"{view.releases:,}"
        yield (view.order_id, view.tenant, view.since, *counts, f"{view.reason}{requested}")
