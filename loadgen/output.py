"""Outputs for generated messages: a file, standard output, or the topic `events`."""

import gzip
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Protocol, Self, cast

import zstandard

from broker.connect import Connection
from broker.fetcher import Headers
from broker.produce import Producer, Record
from broker.throttle import Throttle
from broker.topics import partition_count
from loadgen.stream import Emission
from loadgen.text import Text, tick
from schemas.errors import SettingsError
from schemas.topics import EVENTS

INTENDED_AT = "intended_at"  # header: when the message was to be sent, ms


class Output(Protocol):
    """Takes messages. A context manager: what was taken is there when it is left."""

    size_bytes: int

    def __enter__(self) -> Self: ...

    def __exit__(self, *failed: object) -> None: ...

    def write(self, messages: Sequence[Emission], shift_ms: int) -> None:
        """Write messages; the live clock is `shift_ms` ahead of theirs."""
        ...

    def tick(self, at: int) -> int:
        """Write a tick: everything up to `at` is written; return the number of messages."""
        ...


class FileOutput:
    """A file of lines: plain, .gz or .zst; `-` is standard output."""

    def __init__(self, path: str, text: Text) -> None:
        """Create the output; the file is opened when it is entered."""
        self.path = path
        self.text = text
        self.size_bytes = 0
        self.stack = ExitStack()

    def __enter__(self) -> Self:
        with self.named():
            self.stream = self.stack.enter_context(open_output(self.path))
        return self

    def __exit__(self, *failed: object) -> None:
        with self.named():
            self.stack.close()

    def write(self, messages: Sequence[Emission], shift_ms: int) -> None:
        value = self.text.value
        self.put(b"".join([value(sent, shift_ms) + b"\n" for sent in messages]))

    def tick(self, at: int) -> int:
        self.put(tick(at) + b"\n")
        return 1

    def put(self, data: bytes) -> None:
        """Write bytes."""
        self.size_bytes += len(data)
        with self.named():
            self.stream.write(data)

    @contextmanager
    def named(self) -> Iterator[None]:
        """Name the file in its errors.

        Raises:
            SettingsError: it can't be written, the disk is full, the pipe has no reader any more.
        """
        try:
            yield
        except BrokenPipeError:
            raise  # the command ends quietly
        except OSError as error:
            raise SettingsError(f"--out {self.path}: {error.strerror}") from error


@contextmanager
def open_output(path: str) -> Iterator[IO[bytes]]:
    """Open a file for writing, by the ending of its name."""
    if path == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with Path(path).open("wb") as raw:
        if path.endswith(".gz"):  # without a name and a time: the same seed gives the same bytes
            with gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed:
                yield cast("IO[bytes]", packed)
        elif path.endswith(".zst"):
            with zstandard.ZstdCompressor().stream_writer(raw) as stream:
                yield cast("IO[bytes]", stream)
        else:
            yield raw


class TopicOutput:
    """The topic `events`. With `live` each message carries its scheduled time."""

    def __init__(
        self, connection: Connection, text: Text, readers: Sequence[str] = (), *, live: bool
    ) -> None:
        """Create the output; messages are keyed by order, else by waybill.

        `readers`: groups that an embedded broker must not lose messages for.
        """
        self.text = text
        self.live = live
        self.size_bytes = 0
        self.partitions = partition_count(connection, EVENTS)
        self.connection = connection
        self.readers = readers
        self.producer: Producer  # from `with` on
        self.stack = ExitStack()

    def __enter__(self) -> Self:
        throttle = Throttle(self.connection, {EVENTS: self.readers}) if self.readers else None
        if throttle:
            self.stack.callback(throttle.close)
        self.producer = self.stack.enter_context(Producer(self.connection, throttle))
        return self

    def __exit__(self, *failed: object) -> None:
        self.stack.__exit__(*failed)  # type: ignore[arg-type]  # as a with statement calls it

    def write(self, messages: Sequence[Emission], shift_ms: int) -> None:
        self.producer.send_many(EVENTS, [self.record(sent, shift_ms) for sent in messages])

    def record(self, sent: Emission, shift_ms: int) -> Record:
        """A message with its key."""
        value = self.text.value(sent, shift_ms)
        self.size_bytes += len(value)
        headers: Headers | None = None
        if self.live:
            headers = [(INTENDED_AT, b"%d" % (sent[0] + shift_ms))]
        return Record(self.text.key(sent), value, headers)

    def tick(self, at: int) -> int:
        data = tick(at)
        ticks = [Record(None, data, partition=partition) for partition in range(self.partitions)]
        self.producer.send_many(EVENTS, ticks)
        return len(ticks)
