"""Layout of orders in Redis: keys, slots, and the arguments of the scripts.

Keys are `<prefix>{<slot>}:…`. The braces are Redis Cluster's hash tag: the keys of a slot live on
one node, so a batch of one slot is one script, and atomic. put.lua documents the content of each
key.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from zlib import crc32

from storage_tiering.tier import EventRecord, OrderRecord

# Part of the layout: with another number, orders that were written before are not found.
SLOTS = 32
# A script holds Redis up while it runs: 500 records take a few milliseconds.
RECORDS_PER_SCRIPT = 500
UNKNOWN_VERSION = -1
PROGRESS_MEMBER = "watermark"
OFFSET_MEMBER = "o:"
STALENESS_SCORE = "-inf"

Argument = str | bytes | int


class ScriptRecord(NamedTuple):
    """One record of a script call: the order's key and the script's arguments for it."""

    key: str
    arguments: tuple[Argument, ...]


class Call(NamedTuple):
    """One command for the server that holds `key`, and with it all other keys of the command."""

    key: str
    command: tuple[Argument, ...]


class SlotKeys(NamedTuple):
    """The names of one slot: two indexes by time (see put.lua), progress, and the orders' own."""

    prefix: str
    slot: int

    @property
    def changed(self) -> str:
        """Orders with a document, scored by its updated_at in ms."""
        return f"{self.prefix}{{{self.slot:02d}}}:changed"

    @property
    def loose(self) -> str:
        """Orders with events only, scored by the first one's arrival in ms."""
        return f"{self.prefix}{{{self.slot:02d}}}:loose"

    @property
    def progress(self) -> str:
        """Progress of the slot, a sorted set.

        The score of PROGRESS_MEMBER is its freshness, in ms of stream time; that of
        `o:<topic>/<partition>` the offset up to which it was written; that of `n:<writer>` the
        number of scripts that a writer has called since its last note. With the least score: the
        staleness, as JSON. Kept in the slot, so that whatever loses orders (a failover, a restored
        file) loses this too.
        """
        return f"{self.prefix}{{{self.slot:02d}}}:progress"

    def order(self, key: str) -> str:
        """The hash of one order."""
        return f"{self.prefix}{{{self.slot:02d}}}:order:{key}"


def slot_of(key: str) -> int:
    """The slot of an order key."""
    return crc32(key.encode()) % SLOTS


def order_entry(record: OrderRecord) -> ScriptRecord:
    """A change or tombstone as put.lua takes it."""
    version = UNKNOWN_VERSION if record.version is None else record.version
    return ScriptRecord(record.key, (record.key, version, record.changed_at, record.data))


def event_entry(record: EventRecord) -> ScriptRecord:
    """An event as events.lua takes it."""
    field = f"e:{record.event.event_hash}"
    value = str(record.at).encode() + b" " + record.data
    return ScriptRecord(record.key, (record.key, record.arrival_at, field, value))


def events_in(fields: dict[bytes, bytes]) -> Iterator[bytes]:
    """The JSON of the events in an order's hash."""
    for name, value in fields.items():
        if name.startswith(b"e:"):
            yield value.partition(b" ")[2]


def script_calls(entries: Iterable[ScriptRecord]) -> Iterator[tuple[int, list[ScriptRecord]]]:
    """(slot, records) of each script call, the records of an order in their order."""
    by_slot: dict[int, list[ScriptRecord]] = defaultdict(list)
    for entry in entries:
        by_slot[slot_of(entry.key)].append(entry)
    for slot, of_slot in by_slot.items():
        for start in range(0, len(of_slot), RECORDS_PER_SCRIPT):
            yield slot, of_slot[start : start + RECORDS_PER_SCRIPT]
