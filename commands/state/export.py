"""Taking the orders out of a shard store."""

import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from commands.state.contents import from_last_base, holds_numbers, read_orders
from commands.state.files import StateFiles, shown
from dataflows.core.lifecycle import Lifecycle
from dataflows.core.rules import Rules
from dataflows.core.set_aside import fault_of
from dataflows.core.shard import Shard
from dataflows.core.snapshots import Snapshot, encode_snapshot
from schemas.display import printable_json
from schemas.keys import split_order_key
from schemas.private_files import private_binary
from telemetry.screen import show

Form = Literal["documents", "packed"]

encode = msgspec.json.Encoder(order="deterministic").encode


class Stored(NamedTuple):
    """An order as it is stored."""

    key: str
    data: bytes
    is_retired: bool


def export(
    files: StateFiles,
    table: Lifecycle,
    rules: Rules,
    form: Form,
    out: Path | None,
    *,
    only_retired: bool | None,
) -> int:
    """Write the orders that a resume would find to `out` (None: the output); how many.

    Raises:
        StateError: something is damaged, or the lifecycle isn't the one of the orders.
    """
    names = [name for name in files.reader.shards() if not holds_numbers(name)]
    count = 0
    with destination(out) as file:
        for shard in shown(names, "writing orders", len(names)):
            for line in lines(files, shard, table, rules, form, only_retired=only_retired):
                file.write(printable_json(line) + b"\n")
                count += 1
    return count


@contextmanager
def destination(out: Path | None) -> Iterator[BinaryIO]:
    """Open the destination; a file appears whole or not at all, and only its owner can read it."""
    if out is None:
        yield sys.stdout.buffer
        return
    begun = out.with_name(f"{out.name}.begun")
    with private_binary(begun) as file:  # it holds who ordered what
        yield file
    begun.replace(out)


def lines(
    files: StateFiles,
    shard: str,
    table: Lifecycle,
    rules: Rules,
    form: Form,
    *,
    only_retired: bool | None,
) -> Iterator[bytes]:
    """The orders of a shard."""
    links = files.resumed(shard)
    if not from_last_base(links):
        return
    orders, last = read_orders(files.reader, shard, links)
    generation = files.reader.generation
    judge = judge_of(last, table, rules, generation) if form == "documents" else None
    for stored in stored_orders(
        files, shard, orders, links[-1].sequence, only_retired=only_retired
    ):
        try:
            line = packed(stored) if judge is None else judge.document(stored.key, stored.data)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is about this order alone
            reason = fault_of(stored.key, error).reason
            show(f"order {stored.key!r}: left out, it has no document: {reason}", err=True)
            continue
        if line is not None:  # of an order of notes alone
            yield line


def judge_of(last: Snapshot, table: Lifecycle, rules: Rules, generation: int) -> Shard:
    """A shard without orders that makes documents of those of a snapshot.

    Raises:
        StateError: the lifecycle isn't the one of the orders.
    """
    judge = Shard(table, rules, {}, generation)
    without_orders = encode_snapshot(replace(last, orders=[], pending=[], set_aside=[]))
    if judge.restore([without_orders]) != judge.digest:
        show("rules or lifecycle differ from those in force in the store", err=True)
    return judge


def stored_orders(
    files: StateFiles,
    shard: str,
    orders: dict[str, bytes],
    sequence: int,
    *,
    only_retired: bool | None,
) -> Iterator[Stored]:
    """Live orders, then retired ones, each by key."""
    if only_retired is not True:
        for key in sorted(orders):
            yield Stored(key, orders[key], is_retired=False)
    if only_retired is not False:
        for row in files.reader.retired_rows_at(shard, sequence):
            yield Stored(row.key, files.reader.retired_order(shard, row), is_retired=True)


def packed(stored: Stored) -> bytes:
    """The order's bytes (engine/core/src/order/packing.rs) with its key, as JSON."""
    tenant, order_id = split_order_key(stored.key)
    data = b64encode(stored.data).decode()
    row = {"tenant": tenant, "order_id": order_id, "retired": stored.is_retired, "packed": data}
    return encode(row)
