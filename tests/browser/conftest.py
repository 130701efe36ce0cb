"""The gateway with the demo's orders behind a real server, and a browser: `make board-check`.

Needs the extra `browser` and Debian's chromium; without them these tests are skipped.
"""

import shutil
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import pytest
import uvicorn
from starlette.types import ASGIApp

from broker.consume import Headers
from broker.produce import Producer
from gateway.access.keys import id_of
from gateway.access.shares import Share
from gateway.application import application
from gateway.board.preferences import EXAMPLES
from schemas.instants import format_instant
from schemas.topics import (
    EVENTS,
    EVENTS_REJECTED,
    HEADER_CODE,
    HEADER_OFFSET,
    HEADER_PARTITION,
    HEADER_REASON,
    HEADER_TOPIC,
)
from sinks.subscriptions.deliveries import Attempted, Deliveries, NewDelivery
from sinks.subscriptions.subscription import Subscription
from tests.support.gateway import Door, open_door
from tests.support.sample_orders import NOW, sample
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = shutil.which("chromium")
SIDES = 1 << 40


class Site(NamedTuple):
    """The gateway, its address, the cookie of an administrator, and a customer's link."""

    door: Door
    address: str
    cookie: str
    shared: str


@pytest.fixture(scope="module", autouse=True)
def _no_thread_left_by_a_module() -> None:
    """Fixture of a module that takes the check's place: the site's pools grow in any module."""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with open_door(tmp_path_factory.mktemp("serve")) as door:
        examples = dict.fromkeys(EXAMPLES, "/orders/demo-00138")
        gateway = door.gateway._replace(is_recorded=True, title="Casa Verde", examples=examples)
        door.gateway, door.app = gateway, application(gateway)
        held = sample()
        door.put(*held.orders.values())
        for order_id in held.orders:
            door.put_events(*held.timelines[order_id])
        reject(door, "unknown_status", "malformed_json", "unknown_status")
        subscribe(door, "wh_shop", "demo-00138")
        door.gateway.control.start()
        door.start()
        gateway.follower.watermark = NOW
        sessions, now_s = gateway.access.sessions, gateway.access.now_s()
        cookie = sessions.session(id_of(door.key("admin")) or "", now_s)
        token = gateway.shares.sealed(Share("default", "demo-00138", "town", SIDES))
        with served(door.app) as address:
            yield Site(door, address, cookie, f"/t/{token}")


def subscribe(door: Door, name: str, order_id: str) -> None:
    """A webhook with deliveries in three states."""
    at = format_instant(NOW)
    url = "https://shop.example/hook"
    record = Subscription(url=url, secret="", by="Li", since_at=at, active_at=at, at=at)
    webhooks = door.gateway.webhooks
    webhooks.subscriptions.take(name, msgspec.json.encode(record))
    with closing(Deliveries(webhooks.deliveries)) as file, file.transaction():
        event = file.add_event(b'{"type":"order.changed","data":{"order_id":"demo-00138"}}')
        for number, key in enumerate((order_id, f"{order_id}-1", f"{order_id}-2")):
            new = NewDelivery(f"{number:032x}", name, key, event, "order.changed", NOW)
            file.add([new], NOW)
        done, dead = file.take(name, NOW, 2)
        file.settle([Attempted(done, "done", NOW, 12, 200, ended_at=NOW)], NOW)
        gone = Attempted(dead, "dead", NOW, 12, 410, {}, "no more", "answered 410", ended_at=NOW)
        file.settle([gone], NOW)


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """The address of an application behind a real server."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started, "the server listens")
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def reject(door: Door, *codes: str) -> None:
    """Write dead letters with these codes, as `track` does."""
    with Producer(door.connection) as producer:
        for code in codes:
            headers = {
                HEADER_CODE: code,
                HEADER_REASON: f"{code}: no lifecycle has it; correct the sender",
                HEADER_TOPIC: EVENTS,
                HEADER_PARTITION: "0",
                HEADER_OFFSET: "17",
            }
            encoded: Headers = [(name, text.encode()) for name, text in headers.items()]
            producer.send(EVENTS_REJECTED, b"SO-7", b'{"order_id":"SO-7"}', encoded)


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    if CHROMIUM is None:
        pytest.skip("needs chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - of the extra `browser`

    with sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()
