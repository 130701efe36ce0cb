"""Readers of the stream of changes beside a benchmark: they count what comes, and read on."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Self
from urllib.parse import urlsplit

from benchmarks.http_load import ANSWER_S

PATH = "/v1/stream?types=order.changed&types=order.retired"
CHUNK_BYTES = 1 << 16
MARK = b"event: order.changed\n"


class StreamReaders:
    """Readers in a thread and loop of their own; `changes` are those that each of them got."""

    def __init__(self, url: str, keys: Sequence[str]) -> None:
        """Create a reader for each key; a key may stand in it several times."""
        self._parts = urlsplit(url)
        self._keys = keys
        self.changes = [0] * len(keys)
        self.faults: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._run, name="stream readers")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end)
        self._thread.join()

    def _run(self) -> None:
        self._tasks = [
            self._loop.create_task(self._read(number, key)) for number, key in enumerate(self._keys)
        ]
        with suppress(asyncio.CancelledError):
            self._loop.run_until_complete(asyncio.gather(*self._tasks))
        self._loop.close()

    def _end(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _read(self, number: int, key: str) -> None:
        reader, writer = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        head = f"GET {PATH} HTTP/1.1\r\nHost: {self._parts.netloc}\r\nAuthorization: Bearer {key}"
        writer.write(f"{head}\r\n\r\n".encode())
        status = await asyncio.wait_for(reader.readline(), ANSWER_S)
        if b" 200 " not in status:
            self.faults.append(status.decode().strip())
            return
        rest = b""
        while data := await reader.read(CHUNK_BYTES):
            rest += data
            self.changes[number] += rest.count(MARK)
            rest = rest[-len(MARK) + 1 :]
        self.faults.append("the stream ended")


@contextmanager
def reading(url: str, keys: Sequence[str]) -> Iterator[StreamReaders]:
    """Readers while the block runs."""
    with StreamReaders(url, keys) as readers:
        yield readers
