"""Sorting more events than fit into memory: sorted runs on disk, merged (external merge sort)."""

import heapq
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import msgspec

RUN_BYTES = 256 * 1024 * 1024
LENGTH_BYTES = 4
encode = msgspec.msgpack.Encoder().encode


class Record(NamedTuple):
    """An event to sort, by its first three fields; the rest makes the order total."""

    arrival_at: int
    source: str
    event_id: str
    data: bytes
    file: str
    number: int

    @property
    def is_tick(self) -> bool:
        """Ticks have no source: a source has at least one character."""
        return not self.source


decode = msgspec.msgpack.Decoder(tuple[int, str, str, bytes, str, int]).decode


class Sorter:
    """Takes records in any order and gives them back sorted."""

    def __init__(self, run_bytes: int = RUN_BYTES) -> None:
        """Create a sorter that spills a sorted run to disk whenever about `run_bytes` are held."""
        self.run_bytes = run_bytes
        self.held: list[Record] = []
        self.held_bytes = 0
        self.folder: tempfile.TemporaryDirectory[str] | None = None
        self.runs: list[Path] = []

    def add(self, record: Record) -> None:
        """Take one record."""
        self.held.append(record)
        self.held_bytes += len(record.data) + 200
        if self.held_bytes >= self.run_bytes:
            self.spill()

    def spill(self) -> None:
        """Write what is held as a sorted run."""
        if self.folder is None:
            self.folder = tempfile.TemporaryDirectory(prefix="ordertide-sort-")
        path = Path(self.folder.name) / f"run-{len(self.runs)}"
        self.held.sort()
        with path.open("wb") as stream:
            for record in self.held:
                frame = encode(tuple(record))
                stream.write(len(frame).to_bytes(LENGTH_BYTES, "little") + frame)
        self.runs.append(path)
        self.held = []
        self.held_bytes = 0

    def sorted(self) -> Iterator[Record]:
        """All records, sorted. To be called once."""
        self.held.sort()
        streams = [path.open("rb") for path in self.runs]
        try:
            yield from heapq.merge(*(read_run(stream) for stream in streams), self.held)
        finally:
            for stream in streams:
                stream.close()
            if self.folder is not None:
                self.folder.cleanup()


def read_run(stream: IO[bytes]) -> Iterator[Record]:
    """The records of a run."""
    while length := stream.read(LENGTH_BYTES):
        yield Record(*decode(stream.read(int.from_bytes(length, "little"))))
