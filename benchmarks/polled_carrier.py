"""A carrier over HTTP, as a process of its own: it answers queries about parcels in virtual time.

It speaks the query of the poller `rest`, for many parcels, and that of Kuaidi100, for one. For an
hour it fails once every few minutes, each time in another way; later it is away for ten minutes.
It keeps the record that the trial is judged by: when each parcel was last answered for.
"""

import json
import random
import time
from collections import Counter
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from multiprocessing.connection import Connection
from threading import Lock, Thread
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

from benchmarks.polled_lives import MINUTE_MS, Life, lives
from dataflows.carriers.polling import PROMISED, SILENT_MS
from schemas.instants import DAY_MS, HOUR_MS, format_instant, parse_instant

BEGIN_AT = parse_instant("2026-03-02T08:00:00.000Z")
HOURS = 6
FAULTY_HOUR, AWAY_HOUR = 2, 3
AWAY_MS = (10 * MINUTE_MS, 20 * MINUTE_MS)  # of its hour
SILENT_FOR_MS = 5 * DAY_MS
HANG_S = 30.0
START_WITHIN_S, ANSWER_WITHIN_S = 120.0, 60.0
TEXTS = {
    "COLLECTED": "快件已揽收",
    "IN_TRANSIT": "快件到达【转运中心】",
    "OUT_FOR_DELIVERY": "快件正在派件",
    "DELIVERED": "快件已签收",
}
JSON, HTML = "application/json", "text/html"
FAULTS = ("error", "html", "half", "hang", "limited", "close")
FAILED: dict[str, tuple[int, dict[str, str], bytes]] = {
    "error": (500, {"Content-Type": "text/plain"}, b"oops"),
    "html": (200, {"Content-Type": HTML}, b"<html>maintenance</html>"),
    "limited": (429, {"Content-Type": "text/plain", "Retry-After": "60"}, b"slowly"),
    "away": (503, {"Content-Type": "text/plain"}, b"away"),
}


class Heard(NamedTuple):
    """State of a parcel as last answered."""

    at: int
    status: str
    news_at: int


class Record(NamedTuple):
    """Record of the carrier."""

    oldest_ms: dict[int, int]  # by hour: age of the oldest promised news
    seconds: dict[int, int]  # by second: requests
    answered: dict[int, int]  # by hour: answers about a parcel
    faults: dict[str, int]  # by kind


def under_way(count: int, seed: int) -> list[Life]:
    """Parcels that are all under way at the beginning; scans at whole seconds."""
    rng = random.Random(seed)
    found = []
    for life in lives(count, 1, rng):
        first, last = life.scans[0][0], life.scans[-1][0]
        length = last - first + (0 if life.scans[-1][1] == "DELIVERED" else SILENT_FOR_MS)
        shift = BEGIN_AT - rng.randrange(1, length) - first
        scans = [((at + shift) // 1000 * 1000, status) for at, status in life.scans]
        found.append(Life(life.number, scans))
    return found


def heard_of(life: Life, at: int) -> Heard:
    """State of a parcel at an instant, by all of its scans until then."""
    known = [scan for scan in life.scans if scan[0] <= at] or life.scans[:1]
    return Heard(at, known[-1][1], known[-1][0])


class Parcels:
    """The carrier's parcels, and its record; used by many threads."""

    def __init__(self, parcels: list[Life], every_ms: int) -> None:
        self.by_number = {life.number: life for life in parcels}
        self.every_ms = every_ms  # between two faults of the faulty hour
        self.heard: dict[str, Heard] = {}
        self.oldest_ms = Counter[int]()
        self.seconds, self.answered = Counter[int](), Counter[int]()
        self.faults = Counter[str]()
        self.lock = Lock()

    def fault(self, at: int) -> str | None:
        """Count a request; the fault that it meets, if any."""
        with self.lock:
            self.seconds[at // 1000] += 1
            hour, of_hour = divmod(at - BEGIN_AT, HOUR_MS)
            fault = None
            if hour == FAULTY_HOUR and sum(self.faults.values()) <= of_hour // self.every_ms:
                fault = FAULTS[sum(self.faults.values()) % len(FAULTS)]
            if hour == AWAY_HOUR and AWAY_MS[0] <= of_hour < AWAY_MS[1]:
                fault = "away"
            if fault:
                self.faults[fault] += 1
            return fault

    def ask(self, number: str, at: int) -> list[tuple[int, str]]:
        """Scans of a parcel until now, which count as answered."""
        life = self.by_number[number]
        with self.lock:
            before, now = self.heard.get(number), heard_of(life, at)
            self.heard[number] = now
            hour = (at - BEGIN_AT) // HOUR_MS
            self.answered[hour] += 1
            if before and before.status in PROMISED and at - before.news_at < SILENT_MS:
                self.oldest_ms[hour] = max(self.oldest_ms[hour], at - before.at)
        return [scan for scan in life.scans[1:] if scan[0] <= at]

    def record(self) -> Record:
        with self.lock:
            return Record(
                dict(self.oldest_ms), dict(self.seconds), dict(self.answered), dict(self.faults)
            )


class Handler(BaseHTTPRequestHandler):
    """Answers queries; keeps connections."""

    protocol_version = "HTTP/1.1"

    def __init__(self, parcels: Parcels, clock: Any, *connection: Any) -> None:  # noqa: ANN401 - untyped in multiprocessing and the base class
        self.parcels, self.clock = parcels, clock
        super().__init__(*connection)

    def do_GET(self) -> None:
        now = self.clock.value
        numbers = parse_qs(urlsplit(self.path).query)["waybill"]
        self.reply(now, partial(self.rest, numbers, now))

    def do_POST(self) -> None:
        now = self.clock.value
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        number = json.loads(parse_qs(body)["param"][0])["num"]
        self.reply(now, partial(self.kuaidi100, number, now))

    def rest(self, numbers: list[str], now: int) -> bytes:
        """The answer to the poller `rest`."""
        scans = [
            {"waybill": number, "status_code": status, "timestamp": format_instant(at)}
            for number in numbers
            for at, status in self.parcels.ask(number, now)
        ]
        return json.dumps({"events": scans}).encode()

    def kuaidi100(self, number: str, now: int) -> bytes:
        """The answer to a query of Kuaidi100, newest first, in the time of China."""
        nodes = [
            {"time": format_instant(at + 8 * HOUR_MS)[:19].replace("T", " "), "context": text}
            for at, status in reversed(self.parcels.ask(number, now))
            if (text := TEXTS[status])
        ]
        answer = {"message": "ok", "nu": number, "com": "yunda", "status": "200", "state": "0"}
        return json.dumps(answer | {"data": nodes}).encode()

    def reply(self, now: int, answer: Any) -> None:  # noqa: ANN401 - one of the two above
        """Answer, unless a fault is due."""
        fault = self.parcels.fault(now)
        if fault == "close":
            self.close_connection = True
            return
        if fault == "hang":
            time.sleep(HANG_S)
            self.close_connection = True
            return
        status, headers, body = FAILED.get(fault or "", (200, {"Content-Type": JSON}, b""))
        if fault == "half":
            body = b'{"events": [{"waybill": "JT0'
        elif fault is None:
            body = answer()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Log nothing."""


class Listener(ThreadingHTTPServer):
    daemon_threads = True


def serve(clock: Any, count: int, seed: int, every_ms: int, pipe: "Connection[Any, Any]") -> None:  # noqa: ANN401 - untyped in multiprocessing
    """Answer until the pipe asks for the record."""
    parcels = Parcels(under_way(count, seed), every_ms)
    listener = Listener(("127.0.0.1", 0), partial(Handler, parcels, clock))
    Thread(target=listener.serve_forever, daemon=True).start()
    pipe.send(listener.server_port)
    pipe.recv()
    pipe.send(parcels.record())


class Clock:
    """Virtual time in ms, shared with the carrier's process."""

    def __init__(self) -> None:
        self.shared = get_context("spawn").Value("q", BEGIN_AT)

    def __call__(self) -> int:
        return int(self.shared.value)

    def advance(self, to: int) -> None:
        self.shared.value = max(to, self.shared.value)


class PolledCarrier:
    """The process of the carrier, inside a `with` block."""

    def __init__(self, clock: Clock, count: int, seed: int, every_ms: int) -> None:
        self.clock = clock
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        arguments = (clock.shared, count, seed, every_ms, theirs)
        self.process = context.Process(target=serve, args=arguments, daemon=True)

    def __enter__(self) -> Self:
        self.process.start()
        self.url = f"http://127.0.0.1:{self._received(START_WITHIN_S)}"
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.join()

    def record(self) -> Record:
        """Its record; it answers no more afterwards."""
        self.pipe.send(None)
        found: Record = self._received(ANSWER_WITHIN_S)
        return found

    def _received(self, within_s: float) -> Any:  # noqa: ANN401 - what it sends
        if not self.pipe.poll(within_s):
            raise SystemExit(f"the simulated carrier sent nothing within {within_s:g} s")
        return self.pipe.recv()
