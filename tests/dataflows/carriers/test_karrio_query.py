"""karrio's connectors over HTTP: documented answers, failures, and what karrio does by itself."""

import json
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from commands.poll.accounts import Account, open_accounts
from dataflows.carriers.installed import open_poller
from dataflows.carriers.karrio_query import KarrioFetcher, library
from dataflows.carriers.pollable import Asked
from dataflows.carriers.polling import INTERVALS_MS
from schemas.errors import SettingsError
from schemas.settings.model import PollSettings
from tests.support import web_server
from tests.support.carrier_samples import PAYLOADS
from tests.support.web_server import WebServer

UPS = Asked("1Z023E2X0214323462", "ups")
DHL = Asked("7777777770", "dhl")
TOKEN = "a-token-of-ups"
NOT_FOUND = {"response": {"errors": [{"code": "TV1002", "message": "Invalid inquiry number"}]}}
SCANS = (  # code, type, time: of one day, newest first as UPS gives them
    ("KB", "D", "174500"),
    ("OT", "I", "081500"),
    ("AR", "I", "052000"),
    ("XX", "X", "030000"),
    ("OR", "I", "010000"),
)


class Handler(web_server.Handler):
    def __init__(self, carrier: "Carrier", *connection: Any) -> None:  # noqa: ANN401 - the base class's
        self.carrier = carrier
        super().__init__(*connection)

    def do_POST(self) -> None:  # noqa: N802 - http.server looks for this name
        form = self.rfile.read(int(self.headers["Content-Length"]))
        assert form == b"grant_type=client_credentials"
        self.carrier.tokens += 1
        token = {"access_token": TOKEN, "issued_at": str(time.time() * 1000), "expires_in": "14399"}
        self.answer(200, {}, token)

    def do_GET(self) -> None:  # noqa: N802 - http.server looks for this name
        self.carrier.asked.append((self.path, dict(self.headers)))
        if self.carrier.hangs_s:
            time.sleep(self.carrier.hangs_s)
        self.answer(*self.carrier.reply)

    def answer(self, status: int, headers: dict[str, str], document: object) -> None:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        with suppress(ConnectionError):  # a client that no longer waits
            self.end_headers()
            self.wfile.write(body)


class Carrier(WebServer):
    """The APIs of UPS and DHL; `reply` is the answer to the next queries."""

    def __init__(self) -> None:
        super().__init__()
        self.reply: tuple[int, dict[str, str], object] = (200, {}, {})
        self.hangs_s = 0.0
        self.tokens = 0
        self.asked: list[tuple[str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def listener(self) -> web_server.Listener:
        return web_server.Listener(("127.0.0.1", self.port), partial(Handler, self))


@pytest.fixture
def carrier() -> Iterator[Carrier]:
    with Carrier() as running:
        yield running


def account(carrier: Carrier, **options: object) -> Account:
    settings = {
        "connector": "ups",
        "url": carrier.url,
        "credentials": {"client.id": "me", "client_secret": "s3cret"},
        "zone": "America/New_York",
    }
    return Account("karrio/main", *open_poller("karrio", settings | options), INTERVALS_MS)


def documented(name: str) -> Any:  # noqa: ANN401 - a carrier's answer
    return json.loads((PAYLOADS / "karrio" / f"{name}.json").read_text("utf-8"))


def ups_answer(*scans: tuple[str, str, str]) -> dict[str, Any]:
    """The documented answer, with these scans instead of its own."""
    found: dict[str, Any] = documented("ups")
    package = found["trackResponse"]["shipment"][0]["package"][0]
    (example,) = package["activity"]
    package["activity"] = [
        example | {"time": at, "status": example["status"] | {"code": code, "type": kind}}
        for code, kind, at in scans
    ]
    return found


def test_the_documented_answer_of_ups_gives_its_scan(carrier: Carrier) -> None:
    carrier.reply = (200, {}, documented("ups"))
    result = account(carrier).ask([UPS], 0)
    assert (result.outcome, result.reason) == ("answered", "")
    assert result.answer is not None
    (event,) = result.answer.contents.events
    assert event.pop("event_id")
    assert event == {
        "status_code": "SCAN",
        "raw_status": "SR",
        "timestamp": "2021-02-10T12:13:00+00:00",  # 07:13 in New York; karrio drops the seconds
        "source": "carrier:ups",
        "carrier": "ups",
        "waybill": UPS.number,
        "location": {"name": "Wayne, NJ, 07470, US"},
        "personal": {"text": "Your package was released by the customs agency."},
    }
    (path, headers) = carrier.asked[0]
    assert path.startswith(f"/api/track/v1/details/{UPS.number}?")
    assert headers["Authorization"] == f"Bearer {TOKEN}"


def test_a_code_of_a_scan_counts_before_its_coarser_type(carrier: Carrier) -> None:
    carrier.reply = (200, {}, ups_answer(*SCANS))
    asking = account(carrier, statuses={"XX": "CUSTOMS_HOLD"})
    answer = asking.ask([UPS], 0).answer
    assert answer is not None
    statuses = [each["status_code"] for each in answer.contents.events]
    assert statuses == ["DELIVERED", "OUT_FOR_DELIVERY", "IN_TRANSIT", "CUSTOMS_HOLD", "COLLECTED"]
    again = asking.ask([UPS], 0).answer
    assert again == answer  # with the same ids
    assert carrier.tokens == 1  # which is kept


def test_the_documented_answer_of_dhl_gives_its_scan(carrier: Carrier) -> None:
    carrier.reply = (200, {}, documented("dhl_universal"))
    dhl = {"consumer_key": "a key", "consumer_secret": "s3cret"}
    options = {"connector": "dhl_universal", "carriers": "dhl", "zone": "+00:00"}
    asking = account(carrier, credentials=dhl, **options)
    assert asking.codes == {"dhl"}
    answer = asking.ask([DHL], 0).answer
    assert answer is not None
    (event,) = answer.contents.events
    assert (event["status_code"], event["timestamp"], event["source"], event["carrier"]) == (
        *("DELIVERED", "2018-03-02T07:53:47+00:00", "carrier:dhl_universal", "dhl"),
    )
    (path, headers) = carrier.asked[0]
    assert path == "/track/shipments?language=en&trackingNumber=7777777770"
    assert headers["Dhl-Api-Key"] == "a key"


@pytest.mark.parametrize(
    ("reply", "outcome", "part", "after_s"),
    [
        ((400, {}, NOT_FOUND), "unknown", "", 0.0),
        ((404, {}, NOT_FOUND), "unknown", "TV1002", 0.0),
        ((429, {"Retry-After": "90"}, {}), "limited", "answers 429", 90.0),
        ((503, {"Retry-After": "30"}, {}), "failed", "answers 503", 30.0),
        ((401, {}, {"error": "who"}), "refused", "who", 0.0),
        ((302, {"Location": "http://127.0.0.1:1/"}, {}), "failed", "answers 302", 0.0),
        ((200, {}, b"<html>maintenance</html>"), "unreadable", "the connector failed", 0.0),
    ],
)
def test_a_failure_is_what_its_status_means(
    carrier: Carrier,
    reply: tuple[int, dict[str, str], object],
    outcome: str,
    part: str,
    after_s: float,
) -> None:
    carrier.reply = reply
    result = account(carrier).ask([UPS], 0)
    assert (result.outcome, result.retry_after_s) == (outcome, after_s)
    assert part in result.reason
    if outcome == "unknown":
        assert result.answer is not None
        assert result.answer.unknown == {UPS.number}


def test_a_carrier_that_hangs_or_is_away_has_failed_in_time(carrier: Carrier) -> None:
    asking = account(carrier, timeout="300ms")
    carrier.hangs_s = 4.0
    began_s = time.monotonic()
    result = asking.ask([UPS], 0)
    assert (result.outcome, time.monotonic() - began_s < 4.0) == ("failed", True)
    carrier.stop()
    assert asking.ask([UPS], 0).outcome == "failed"


def test_certificates_are_still_verified_by_this_process() -> None:
    assert library()
    context = ssl._create_default_https_context()  # noqa: SLF001 - what karrio replaces
    assert context.verify_mode == ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"connector": "pigeon"}, "install the package karrio-pigeon"),
        ({"credentials.client_id": "me"}, "credentials.client_secret of ups is missing"),
        ({"options.colour": "red"}, "ups has no setting colour"),
        ({"batch": "0"}, "batch: '0' is no number of parcels"),
        ({"url": "ftp://x"}, "url: 'ftp://x' is no http"),
        ({"zone": "Mars"}, "no zone 'Mars'"),
    ],
)
def test_options_that_cannot_be_used_are_named(options: dict[str, str], part: str) -> None:
    settings = {"karrio.ups.connector": "ups"} | {f"karrio.ups.{k}": v for k, v in options.items()}
    with pytest.raises(SettingsError, match=part):
        open_accounts(PollSettings(carriers=settings))


def test_the_plug_in_has_the_name_of_its_entry_point() -> None:
    assert KarrioFetcher.name == "karrio"
