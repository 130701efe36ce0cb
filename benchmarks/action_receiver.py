"""Receiver of actions: a process of its own that answers webhooks, fails by a plan, and records.

One event loop with a minimal HTTP/1.1 over kept connections, so that it costs little beside what is
measured. The path of a request names the receiver. Two ports: the second can be closed alone.
"""

import asyncio
import contextlib
import re
import socket
import struct
import time
from collections import Counter
from hashlib import blake2b
from multiprocessing import get_context
from random import Random
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

import msgspec

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

START_WITHIN_S, ANSWER_WITHIN_S = 30.0, 60.0
Fault = Literal["hang", "error", "limited", "reset", "late", "lost"]
# Before the action is done: no answer, 500, 429, a reset. After it: an answer behind the time-out
# of the worker, or a reset in its place.
FAULTS: tuple[Fault, ...] = ("hang", "error", "limited", "reset", "late", "lost")
DONE_BEFORE = {"late", "lost"}
ANSWERS: dict[str, bytes] = {
    "done": b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
    "refused": b"HTTP/1.1 422 Unprocessable\r\nContent-Length: 0\r\n\r\n",
    "error": b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
    "limited": b"HTTP/1.1 429 Slowly\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
}
HEAD_END = b"\r\n\r\n"
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
KEY = re.compile(rb"webhook-id: *(\S+)", re.IGNORECASE)
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 s


class Plan(NamedTuple):
    """Faults of a receiver: their share of requests, and the share of actions that it refuses."""

    faults: float = 0.0
    refused: float = 0.0
    late_s: float = 0.0
    seed: int = 0

    def outcome(self, key: str, number: int) -> str:
        """Outcome of the n-th request (from 1) for a key: `done`, `refused` or a fault."""
        if self.faults and (rng := Random(f"{self.seed} {key} {number}")).random() < self.faults:
            return rng.choice(FAULTS)
        is_refused = self.refused and Random(f"{self.seed} {key}").random() < self.refused
        return "refused" if is_refused else "done"


ALWAYS_DONE = Plan()


class Request(NamedTuple):
    """An action in a request: the receiver, its key, order and body (a digest), when and with what.

    `at` is Unix time in seconds.
    """

    receiver: str
    key: str
    order_id: str
    body: bytes
    at: float
    outcome: str


class Data(msgspec.Struct):
    """The action of a webhook, or those of a batch, as far as they count."""

    action_id: str = ""
    order_id: str = ""
    actions: list["Body"] = []


class Body(msgspec.Struct):
    """Body of a webhook."""

    data: Data


decode = msgspec.json.Decoder(Body).decode


class Far:
    """The far end: its plan, its record, and the receivers that hang."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.requests: list[Request] = []
        self.counts = Counter[str]()
        self.hanging: set[str] = set()

    def take(self, receiver: str, key: str, body: bytes) -> str:
        """Record a request; its outcome."""
        self.counts[key] += 1
        outcome = self.plan.outcome(key, self.counts[key])
        if receiver in self.hanging:
            outcome = "hang"
        digest = blake2b(body, digest_size=8).digest()
        data, at = decode(body).data, time.time()
        for each in [one.data for one in data.actions] or [data]:
            key = each.action_id
            self.requests.append(Request(receiver, key, each.order_id, digest, at, outcome))
        return outcome


class Exchange(asyncio.Protocol):
    """One connection."""

    def __init__(self, far: Far) -> None:
        self.far = far
        self.data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        while (end := self.data.find(HEAD_END)) >= 0:
            head, begin = self.data[:end], end + len(HEAD_END)
            length, key = LENGTH.search(head), KEY.search(head)
            assert length
            assert key
            after = begin + int(length[1])
            if len(self.data) < after:
                return
            body, self.data = self.data[begin:after], self.data[after:]
            receiver = head.split(b" ", 2)[1].decode().rpartition("/")[2]
            self.answer(self.far.take(receiver, key[1].decode(), body))

    def answer(self, outcome: str) -> None:
        """Answer a request, or fail to."""
        match outcome:
            case "hang":
                return
            case "reset" | "lost":
                raw = self.transport.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                self.transport.abort()
            case "late":
                loop = asyncio.get_running_loop()
                loop.call_later(self.far.plan.late_s, self.transport.write, ANSWERS["done"])
            case _:
                self.transport.write(ANSWERS[outcome])


class Ports:
    """The listeners of both ports, and what the pipe asks of them."""

    def __init__(self, far: Far, pipe: "Connection[Any, Any]") -> None:
        self.far, self.pipe = far, pipe
        self.listeners: list[asyncio.Server] = []
        self.numbers = [0, 0]

    async def run(self) -> None:
        """Serve until the process is killed."""
        loop = asyncio.get_running_loop()
        self.listeners = [await self.listen(0), await self.listen(0)]
        self.numbers = [each.sockets[0].getsockname()[1] for each in self.listeners]
        self.pipe.send(self.numbers)
        orders = asyncio.Queue[tuple[str, Any]]()
        loop.add_reader(self.pipe.fileno(), lambda: orders.put_nowait(self.pipe.recv()))
        while True:
            name, value = await orders.get()
            self.pipe.send(await self.obey(name, value))

    async def listen(self, port: int) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: Exchange(self.far), "127.0.0.1", port)

    async def obey(self, name: str, value: Any) -> Any:  # noqa: ANN401 - untyped in multiprocessing
        """Do what the other end of the pipe asks for; the answer."""
        match name:
            case "hang":
                self.far.hanging = set(value)
            case "refuse" if value:
                self.listeners[1].close()
            case "refuse":
                self.listeners[1].close()
                self.listeners[1] = await self.listen(self.numbers[1])
            case "taken":
                taken, self.far.requests = self.far.requests, []
                return taken
        return None


def serve(plan: Plan, pipe: "Connection[Any, Any]") -> None:
    """Entry point of the process."""
    with contextlib.suppress(KeyboardInterrupt, EOFError):
        asyncio.run(Ports(Far(plan), pipe).run())


class ActionReceiver:
    """The process of the receivers, inside a `with` block."""

    def __init__(self, plan: Plan = ALWAYS_DONE) -> None:
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(plan, theirs), daemon=True)

    def __enter__(self) -> Self:
        self.process.start()
        self.ports: list[int] = self._received(START_WITHIN_S)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.join()

    def url(self, receiver: str, *, second: bool = False) -> str:
        """The address of a receiver, on the first or the second port."""
        return f"http://127.0.0.1:{self.ports[second]}/{receiver}"

    def hang(self, *receivers: str) -> None:
        """Let these receivers answer nothing, and all others answer."""
        self._ask("hang", receivers)

    def refuse(self, *, is_refusing: bool) -> None:
        """Close the second port, or open it again."""
        self._ask("refuse", is_refusing)

    def taken(self) -> list[Request]:
        """The requests since the last call."""
        found: list[Request] = self._ask("taken", None)
        return found

    def _ask(self, name: str, value: object) -> Any:  # noqa: ANN401 - what it sends
        self.pipe.send((name, value))
        return self._received(ANSWER_WITHIN_S)

    def _received(self, within_s: float) -> Any:  # noqa: ANN401 - what it sends
        if not self.pipe.poll(within_s):
            raise SystemExit(f"the receiver of actions sent nothing within {within_s:g} s")
        return self.pipe.recv()
