"""Senders of callbacks: a flood at a fixed rate, one that retries, and one that withholds its body.

`python -m benchmarks.callback_senders URL PER_S SECONDS FILE` is the flood, in a process of its own
that yields to whoever measures. It prints a `Flood` as JSON, and writes the ids of the events that
were acknowledged into FILE. It is an open loop: whether or not there are answers, the next callback
is sent in time while a connection is free.
"""

import asyncio
import os
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from benchmarks.http_load import ANSWER_S
from telemetry.http_client import HttpClient, HttpFailed

FLOOD_CONNECTIONS = 128
TICK_S = 0.002
YIELDS = 10  # nice(2): what measures on the same core goes first
HEAD_END = b"\r\n\r\n"
PATIENT_SENDERS = 16
PROBE_EVERY_S = 0.25
WITHHELD_BYTES = 100_000
TAKEN, LIMITED, BUSY = 200, 429, 503


class Flood(msgspec.Struct, kw_only=True):
    """Outcome of a flood: answers by status; refusals without `Retry-After`; the rate it had."""

    statuses: dict[int, int]
    without_delay: int
    unanswered: int
    per_s: float

    @property
    def taken(self) -> int:
        """Callbacks that were acknowledged."""
        return self.statuses.get(TAKEN, 0)

    @property
    def refused(self) -> int:
        """Callbacks over the rate."""
        return self.statuses.get(LIMITED, 0)


class Patience(NamedTuple):
    """Outcome of the sender that retries: its events, refusals, and those without a delay."""

    events: list[str]
    refusals: int
    without_delay: int


class Probes(NamedTuple):
    """Requests whose body was never sent: refused before it, let through, refused only then."""

    refused: int
    admitted: int
    too_late: int


def body_of(event_id: str) -> bytes:
    """A push of one scan to the plug-in `rest`."""
    return msgspec.json.encode(
        {
            "event_id": event_id,
            "order_id": event_id,
            "waybill": f"YT{event_id}",
            "status_code": "IN_TRANSIT",
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
    )


# ---------------------------------------------------------------- the flood
class FloodConnection(asyncio.Protocol):
    """A kept connection with one request in flight."""

    def __init__(self, answered: "Callable[[FloodConnection, bytes | None], None]") -> None:
        """Create a connection that reports (itself, the head of an answer, None once lost)."""
        self.event_id = ""
        self._answered = answered
        self._read = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def send(self, head: bytes, event_id: str) -> None:
        """Send a callback."""
        self.event_id, body = event_id, body_of(event_id)
        self.transport.write(b"%sContent-Length: %d\r\n\r\n%s" % (head, len(body), body))

    def data_received(self, data: bytes) -> None:
        self._read += data
        end = self._read.find(HEAD_END)
        if end < 0:
            return
        head = bytes(self._read[:end]).lower()
        length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if len(self._read) >= end + len(HEAD_END) + int(length):
            self._read.clear()
            self._answered(self, head)

    def connection_lost(self, exc: Exception | None) -> None:
        self._answered(self, None)


class Flooding:
    """A flood while it runs."""

    def __init__(self, url: str) -> None:
        """Create a flood without connections."""
        self.parts = urlsplit(url)
        host, path = self.parts.netloc, self.parts.path
        self.head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\n".encode()
        self.head += b"Content-Type: application/json\r\n"
        self.connections: list[FloodConnection] = []
        self.idle = deque[FloodConnection]()
        self.waiting = deque[str]()
        self.in_flight = 0
        self.all_answered = asyncio.Event()
        self.statuses = Counter[int]()
        self.without_delay = self.lost = 0
        self.taken: list[str] = []

    async def run(self, per_s: float, seconds: float) -> Flood:
        """Send at a rate; returns once all are answered, or lost."""
        loop = asyncio.get_running_loop()
        for _ in range(FLOOD_CONNECTIONS):
            await loop.create_connection(
                self.connection, self.parts.hostname or "", self.parts.port or 0
            )
        began_s, sent, count = time.perf_counter(), 0, int(per_s * seconds)
        name = f"flood-{os.getpid()}"
        while sent < count or self.waiting:
            due = min(int((time.perf_counter() - began_s) * per_s) + 1, count)
            self.waiting.extend(f"{name}-{number}" for number in range(sent, due))
            sent = due
            self.send_waiting()
            await asyncio.sleep(TICK_S)
        took_s = time.perf_counter() - began_s
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_S):
                await self.all_answered.wait()
        unanswered = self.in_flight + self.lost
        for each in self.connections:
            each.transport.abort()
        await asyncio.sleep(0)  # they are closed in the next turn of the loop
        return Flood(
            statuses=dict(self.statuses),
            without_delay=self.without_delay,
            unanswered=unanswered,
            per_s=count / took_s,
        )

    def connection(self) -> FloodConnection:
        """A connection that is idle."""
        made = FloodConnection(self.answered)
        self.connections.append(made)
        self.idle.append(made)
        return made

    def send_waiting(self) -> None:
        """Send what is due on connections that are idle."""
        while self.idle and self.waiting:
            self.idle.popleft().send(self.head, self.waiting.popleft())
            self.in_flight += 1
            self.all_answered.clear()

    def answered(self, connection: FloodConnection, head: bytes | None) -> None:
        """Count an answer; the connection is idle again."""
        if not connection.event_id:
            self.idle.remove(connection)  # closed while it was idle
            return
        self.in_flight -= 1
        if not self.in_flight:
            self.all_answered.set()
        if head is None:
            self.lost += 1
            return
        status = int(head[9:12])
        self.statuses[status] += 1
        if status == TAKEN:
            self.taken.append(connection.event_id)
        elif b"\r\nretry-after: " not in head:
            self.without_delay += 1
        connection.event_id = ""
        self.idle.append(connection)
        self.send_waiting()


# ---------------------------------------------------------------- beside it
def send_patiently(url: str, count: int, seconds: float) -> Patience:
    """Send callbacks spread over a while; each refused one again after the delay of its refusal."""
    began_s = time.monotonic()

    def send(thread: int) -> tuple[int, int]:
        client, refusals, without_delay = HttpClient(url, timeout_s=ANSWER_S), 0, 0
        for number in range(thread, count, PATIENT_SENDERS):
            event_id = names[number]
            time.sleep(max(began_s + number * seconds / count - time.monotonic(), 0))
            while True:
                try:
                    client.request("POST", "", body_of(event_id))
                    break
                except HttpFailed as failed:
                    if not failed.is_about_the_server:
                        raise
                    refusals += 1
                    without_delay += failed.retry_after_s is None
                    time.sleep(failed.retry_after_s or 1.0)
        client.close()
        return refusals, without_delay

    names = [f"patient-{time.time_ns()}-{number}" for number in range(count)]
    with ThreadPoolExecutor(PATIENT_SENDERS) as pool:
        found = list(pool.map(send, range(PATIENT_SENDERS)))
    return Patience(names, sum(each[0] for each in found), sum(each[1] for each in found))


def withhold_bodies(url: str, stop: Event) -> Probes:
    """Send heads that announce a body and wait for leave to send it, until `stop` is set.

    The server asks for the body by `100 Continue`; who is refused is to be refused before that.
    """
    parts = urlsplit(url)
    head = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nExpect: 100-continue\r\n"
        f"Content-Type: application/json\r\nContent-Length: {WITHHELD_BYTES}\r\n\r\n"
    ).encode()
    refused = admitted = too_late = 0
    while not stop.wait(PROBE_EVERY_S):
        with socket.create_connection((parts.hostname, parts.port), ANSWER_S) as connection:
            connection.sendall(head)
            answer = connection.recv(4096)
        if answer.startswith(b"HTTP/1.1 100"):
            admitted += 1
            too_late += b" 429 " in answer
        else:
            refused += answer.startswith(b"HTTP/1.1 429")
    return Probes(refused, admitted, too_late)


if __name__ == "__main__":
    address, rate, length, file = sys.argv[1:]
    os.nice(YIELDS)
    flooding = Flooding(address)
    outcome = asyncio.run(flooding.run(float(rate), float(length)))
    Path(file).write_text("".join(f"{name}\n" for name in flooding.taken), "utf-8")
    sys.stdout.buffer.write(msgspec.json.encode(outcome))
