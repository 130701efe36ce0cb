"""Checks of `ordertide state verify`."""

from collections.abc import Iterator, Sequence

import msgspec

from commands.state.contents import from_last_base, holds_numbers, read_numbers, read_orders
from commands.state.files import StateFiles, shown
from commands.state.packed_order import fault_of
from dataflows.core.lifecycle import Lifecycle
from dataflows.core.snapshots import Snapshot, check_statuses
from dataflows.state.local.chain import BlobInfo, links_to
from dataflows.state.local.frame import REMEDY
from dataflows.state.local.reader import Held, StateReader
from dataflows.state.store import Pointer, check_store
from schemas.display import count_of, printable
from schemas.errors import StateError

MOST_FAULTS = 1_000  # a file with more is lost anyway
NOT_FOLDED = (
    "orders not folded again: the lifecycle in the store is another one; name the flow's settings"
)


class Verified(msgspec.Struct):
    """Counts of what was read, and the faults in it."""

    path: str
    blobs: int = 0
    blob_bytes: int = 0
    retired_rows: int = 0
    orders: int = 0
    pointers: int = 0
    faults: list[str] = []
    notes: list[str] = []

    def fault(self, fault: str) -> None:
        """Something is wrong; of a great many, the first."""
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(fault)

    def text(self) -> str:
        """For people."""
        read = (
            f"{self.path}: {self.blobs:,} blobs ({self.blob_bytes / 1e6:,.1f} MB), "
            f"{self.retired_rows:,} rows of retired orders, {self.orders:,} orders, "
            f"{self.pointers:,} pointers read"
        )
        end = count_of(len(self.faults), "fault") if self.faults else "no fault"
        return "\n".join(
            [*(f"FAULT {printable(fault)}" for fault in self.faults), *self.notes, read, end]
        )


def verify(files: StateFiles, table: Lifecycle) -> Verified:
    """Read everything; `table` is the lifecycle that the flow runs with."""
    found = Verified(str(files.reader.path))
    found.faults += damage_of(files.reader)
    pointers = {name: state.pointer for name, state in files.states().items()}
    if files.recovery is None:
        found.notes.append("no recovery folder beside the store: bytewax's pointers not checked")
    try:
        names = sorted({*files.reader.shards(), *pointers})
    except StateError as error:
        found.faults.append(str(error))
        return found
    for shard in shown(names, "verifying shards", len(names)):
        try:
            verify_shard(files, shard, pointers.get(shard), table, found)
        except StateError as error:  # the file itself can't be read here
            found.fault(f"shard {shard}: {error}")
    return found


def damage_of(reader: StateReader) -> list[str]:
    """Damage of the file as a database."""
    try:
        return [f"{reader.path}: SQLite says {fault}; {REMEDY}" for fault in reader.damage()]
    except StateError as error:
        return [str(error)]


def verify_shard(
    files: StateFiles, shard: str, pointer: Pointer | None, table: Lifecycle, found: Verified
) -> None:
    """Blobs, then where it can be resumed, then what is in it."""
    held = files.reader.held(shard)
    before = len(found.faults)
    for link in held.links:
        verify_blob(files, shard, link, found)
    links = resumed(files, shard, held, pointer, found)
    if len(found.faults) == before and from_last_base(links):
        verify_contents(files, shard, links, table, found)


def verify_blob(files: StateFiles, shard: str, link: BlobInfo, found: Verified) -> None:
    """One blob: checksum, version, compressed form."""
    found.blobs += 1
    found.blob_bytes += link.size_bytes
    try:
        files.reader.blob(shard, link)
    except StateError as error:
        found.fault(str(error))


def resumed(
    files: StateFiles, shard: str, held: Held, pointer: Pointer | None, found: Verified
) -> Sequence[BlobInfo]:
    """The links up to where bytewax would resume, else up to the last; checks every pointer."""
    for fault in chain_faults(shard, held):
        found.fault(fault)
    if pointer is None:
        return held.links
    found.pointers += 1
    try:
        check_store(pointer, files.reader.meta.store, shard, str(files.reader.path))
        return links_to(pointer, held.links, held.floor, shard)
    except StateError as error:
        found.fault(str(error))
        return []


def chain_faults(shard: str, held: Held) -> Iterator[str]:
    """Faults that prevent a resume from one of the kept commits."""
    has_base = False
    for link in held.links:
        has_base = has_base or link.base
        if link.sequence >= held.floor and not has_base:
            yield f"shard {shard}, blob {link.sequence}: there is no base before it; {REMEDY}"
    if held.links and held.links[-1].sequence < held.floor:
        yield f"shard {shard}: nothing is left that a resume may name; {REMEDY}"


def verify_contents(
    files: StateFiles, shard: str, links: Sequence[BlobInfo], table: Lifecycle, found: Verified
) -> None:
    """Check that everything in the blobs decodes, and that each order matches its history."""
    try:
        if holds_numbers(shard):
            for fault in read_numbers(files.reader, shard, links).faults:
                found.fault(f"shard {shard}, {fault}")
            return
        orders, last = read_orders(files.reader, shard, links)
        check_statuses(last.statuses, table)
    except StateError as error:
        found.fault(f"shard {shard}: {error}")
        return
    folded_by = table if is_judged_by(last, table) else None
    if folded_by is None and NOT_FOLDED not in found.notes:
        found.notes.append(NOT_FOLDED)
    for key, data in orders.items():
        verify_order(f"shard {shard}", key, data, folded_by, found)
    verify_retired(files, shard, folded_by, found)


def verify_order(
    where: str, key: str, data: bytes, table: Lifecycle | None, found: Verified
) -> None:
    """One order, live or retired."""
    found.orders += 1
    fault = fault_of(key, data, table)
    if fault:
        found.fault(f"{where}, order {key!r}: {fault}")


def verify_retired(files: StateFiles, shard: str, table: Lifecycle | None, found: Verified) -> None:
    """Check all rows of retired orders; a resume at an older pointer needs a key's older ones."""
    for row in files.reader.retired_rows(shard):
        found.retired_rows += 1
        try:
            data = files.reader.retired_order(shard, row)
        except StateError as error:
            found.fault(str(error))
        else:
            where = f"shard {shard}, retired row of blob {row.sequence}"
            verify_order(where, row.key, data, table, found)


def is_judged_by(last: Snapshot, table: Lifecycle) -> bool:
    """Return True if the orders of a snapshot were folded by this lifecycle."""
    return last.digest.rpartition("-")[2] == table.digest
