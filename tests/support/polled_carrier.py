"""A carrier over HTTP that is asked: its parcels get their scans in virtual time.

It answers Kuaidi100's query of one number, and that of the poller `rest` for many. `moods` are what
it does instead, one a request.
"""

import json
from collections import Counter, deque
from functools import partial
from hashlib import md5
from itertools import pairwise
from threading import Lock
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from schemas.instants import format_instant
from tests.support import web_server
from tests.support.web_server import WebServer

KEY, CUSTOMER = "a key of 16 letters", "a customer"
Mood = tuple[int, dict[str, str], bytes] | Literal["close", "half"]


class Clock:
    """Virtual time, in ms."""

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


class Handler(web_server.Handler):
    """Answers queries."""

    def __init__(self, carrier: "PolledCarrier", *connection: Any) -> None:  # noqa: ANN401 - the base class's
        self.carrier = carrier
        super().__init__(*connection)

    def do_GET(self) -> None:  # noqa: N802 - http.server looks for this name
        self.reply(self.carrier.rest(parse_qs(urlsplit(self.path).query).get("waybill", [])))

    def do_POST(self) -> None:  # noqa: N802 - http.server looks for this name
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.reply(self.carrier.kuaidi100(self.carrier.proven(body)["num"]))

    def reply(self, text: bytes) -> None:
        """Answer, in the mood that is next."""
        status, headers = 200, dict[str, str]()
        match self.carrier.mood():
            case "close":
                self.close_connection = True
                return
            case "half":
                text = text[: len(text) // 2]
            case None:
                pass
            case status, headers, text:
                pass
        self.send_response(status)
        for name, value in {"Content-Length": str(len(text)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)


class PolledCarrier(WebServer):
    """Parcels by number: the instants (ms) of their scans, of which those up to now are known."""

    def __init__(self, clock: Clock, parcels: dict[str, list[int]]) -> None:
        super().__init__()
        self.clock = clock
        self.parcels = parcels
        self.moods = deque[Mood]()
        self.asked: list[tuple[int, tuple[str, ...]]] = []  # instant, numbers, of every request
        self._lock = Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def listener(self) -> web_server.Listener:
        return web_server.Listener(("127.0.0.1", self.port), partial(Handler, self))

    def mood(self) -> Mood | None:
        with self._lock:
            return self.moods.popleft() if self.moods else None

    def note(self, *numbers: str) -> None:
        with self._lock:
            self.asked.append((self.clock.now, numbers))

    def rest(self, numbers: list[str]) -> bytes:
        if numbers:
            self.note(*numbers)
        return json.dumps([scan for number in numbers for scan in self.scans(number)]).encode()

    def proven(self, body: bytes) -> dict[str, str]:
        """The parameters of a query that is signed as Kuaidi100 documents it."""
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        sign = md5(f"{form['param']}{KEY}{CUSTOMER}".encode()).hexdigest()  # noqa: S324 - as it signs
        assert (form["customer"], form["sign"]) == (CUSTOMER, sign.upper())
        param: dict[str, str] = json.loads(form["param"])
        return param

    def known(self, number: str) -> list[int]:
        """Instants of a parcel's scans up to now."""
        return [at for at in self.parcels[number] if at <= self.clock.now]

    def scans(self, number: str) -> list[dict[str, str]]:
        return [
            {
                "waybill": number,
                "event_id": f"{number}/{at}",
                "status_code": "IN_TRANSIT",
                "timestamp": format_instant(at),
            }
            for at in self.known(number)
        ]

    def kuaidi100(self, number: str) -> bytes:
        self.note(number)
        if number not in self.parcels:
            missing = {
                "result": False,
                "returnCode": "500",
                "message": "查询无结果，请隔段时间再查",
            }
            return json.dumps(missing).encode()
        nodes = [
            {"time": format_instant(at)[:19].replace("T", " "), "context": f"快件到达【{at}】"}
            for at in reversed(self.known(number))
        ]
        answer = {"message": "ok", "nu": number, "com": "yunda", "status": "200", "state": "0"}
        return json.dumps(answer | {"data": nodes}).encode()

    def most_a_second(self) -> int:
        return max(Counter(at // 1000 for at, _ in self.asked).values())

    def gaps(self, number: str) -> list[int]:
        """Times between the requests for a parcel."""
        instants = [at for at, numbers in self.asked if number in numbers]
        return [b - a for a, b in pairwise(instants)]
