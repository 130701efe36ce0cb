"""The live demo as a visitor meets it: its board, its stream, and the callback that it prints."""

import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from broker.connect import Connection
from broker.consume import read_all
from commands.demo.telling import EXAMPLES, LATE
from schemas.instants import MINUTE_MS, parse_instant
from schemas.settings.model import read_settings
from schemas.topics import EVENTS
from tests.commands.test_demo import processes_of
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
RED = "/?lane=overdue&carrier=loggi&rule=late_delivery&supplier=casa-verde"


class Visitor(NamedTuple):
    """A demo that runs: the gateway's port, the administrator's key, and the printed lines."""

    port: int
    key: str
    printed: list[str]

    @contextmanager
    def opened(self, path: str) -> Iterator[HTTPResponse]:
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request("GET", path, headers={"authorization": f"Bearer {self.key}"})
            with connection.getresponse() as answer:
                assert answer.status == 200, answer.read()
                yield answer

    def get(self, path: str) -> str:
        with self.opened(path) as answer:
            return answer.read().decode()

    def json(self, path: str) -> Any:  # noqa: ANN401 - any JSON
        return msgspec.json.decode(self.get(path))


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    folder = tmp_path_factory.mktemp("demo") / "run"
    demo = subprocess.Popen(
        [sys.executable, ROOT / "run.py", "demo", "--orders", "50", "--folder", folder],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
    )
    assert demo.stdout is not None
    printed: list[str] = []
    for line in demo.stdout:
        printed.append(line)
        if line.startswith("live, "):
            break
    address = re.match(r"Board  http://127\.0\.0\.1:(\d+)/", printed[0])
    assert address, printed
    yield Visitor(int(address[1]), (folder / "serve" / "admin-key").read_text().strip(), printed)
    demo.send_signal(signal.SIGINT)
    rest = demo.communicate(timeout=60)[0]
    assert demo.returncode == 0, rest
    assert "Traceback" not in rest
    assert rest.endswith("stopped\n")
    assert not processes_of(folder)


def test_the_demo_ends_its_history_now_and_continues_a_minute_a_second(visitor: Visitor) -> None:
    before, began_s = visitor.json("/v1/lanes"), time.monotonic()
    began_at = parse_instant(before["through"])
    assert began_at > time.time_ns() // 1_000_000 - 5 * MINUTE_MS
    wait_until(
        lambda: parse_instant(visitor.json("/v1/lanes")["through"]) > began_at + 5 * MINUTE_MS,
        "five minutes of the stream",
    )
    passed_ms = parse_instant(visitor.json("/v1/lanes")["through"]) - began_at
    assert passed_ms < 2 * MINUTE_MS * (time.monotonic() - began_s)
    assert all(before["lanes"][lane]["orders"] for lane in ("normal", "warning", "overdue"))


def test_changes_keep_coming_on_the_stream(visitor: Visitor) -> None:
    with visitor.opened("/v1/stream?types=order.changed") as stream:
        assert any(line.startswith(b"event: order.changed") for line in stream)


def test_the_board_offers_the_telling_orders(visitor: Visitor) -> None:
    html = visitor.get("/").replace("&amp;", "&")
    for path in EXAMPLES.values():
        assert f'href="{path}"' in html
        visitor.get(path)


def test_the_number_that_is_printed_with_the_result_finds_the_late_order(visitor: Visitor) -> None:
    printed = "".join(visitor.printed)
    named = re.search(r"^Board  \S+ \(signed in .*\): type (\d{4}) into", printed, re.MULTILINE)
    assert named, printed
    assert printed.index(named[0]) > printed.index("Try next:"), "before, it isn't there yet"
    found = visitor.get(f"/find?hits=1&q={named[1]}")
    assert f'href="{EXAMPLES["late"]}"' in found
    assert "Late delivery" in visitor.get(EXAMPLES["late"])


def events(visitor: Visitor) -> Iterator[dict[str, Any]]:
    """Everything in the topic `events`."""
    named = re.search(r"--settings (\S+)", "".join(visitor.printed))
    assert named
    bootstrap = read_settings(Path(named[1])).broker.bootstrap
    messages = read_all(Connection(bootstrap, embedded=True), EVENTS)
    return (msgspec.json.decode(each.value or b"{}") for each in messages)


@pytest.mark.parametrize("outcome", ["confirm_order: done by log", "done by desk (202 the desk"])
def test_an_order_shows_what_was_done_for_it(visitor: Visitor, outcome: str) -> None:
    found: list[str] = []

    def is_told() -> bool:
        notes = (each for each in events(visitor) if outcome in each.get("text", ""))
        found.extend(each["order_id"] for each in notes)
        return bool(found)

    wait_until(is_told, f"an outcome: {outcome}")
    wait_until(lambda: outcome in visitor.get(f"/orders/{found[0]}"), "it is on the order's page")


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_printed_callback_takes_a_card_out_of_the_red_lane(visitor: Visitor) -> None:
    command = next(line for line in visitor.printed if line.startswith("curl "))
    card = f'href="/orders/{LATE}"'

    def red() -> str:
        return visitor.get(RED).partition('id="cards-overdue"')[2].partition("</ol>")[0]

    assert card in red()
    posted = subprocess.run(shlex.split(command), capture_output=True, text=True, check=True)
    assert msgspec.json.decode(posted.stdout)["accepted"] is True
    wait_until(lambda: card not in red(), "the card has left the red lane")
    late = visitor.json(f"/v1/orders/{LATE}")
    assert (late["order"]["status"], late["order"]["lane"]) == ("DELIVERED", "normal")


def test_scans_of_a_carrier_that_does_not_push_are_on_the_timeline(visitor: Visitor) -> None:
    found: list[dict[str, Any]] = []

    def is_polled() -> bool:
        found.extend(each for each in events(visitor) if is_of_the_poller(each))
        return bool(found)

    wait_until(is_polled, "a scan of the carrier that is polled")
    scan = found[0]
    assert (scan["carrier"], scan["location"]["name"] != "") == ("jadlog", True)
    assert [each for each in events(visitor) if each.get("event_id") == scan["event_id"]] == [scan]
    page = f"/orders/{scan['order_id']}"
    wait_until(lambda: "carrier:rest" in visitor.get(page), "its source on the order's page")


def is_of_the_poller(event: dict[str, Any]) -> bool:
    return event.get("source") == "carrier:rest" and event.get("carrier") == "jadlog"
