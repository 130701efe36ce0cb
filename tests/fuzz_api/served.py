"""A gateway behind its real server, with orders, and a key of each role."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from broker.consume import Headers
from broker.produce import Producer
from gateway.access.caller import EVERY_ROLE, Role
from gateway.access.keys import PARTIES
from gateway.server import listen, serve
from schemas.topics import CONTROL, EVENTS, EVENTS_REJECTED, HEADER_CODE, HEADER_TOPIC
from tests.support.alerts import alert, order
from tests.support.gateway import REST_TOKEN, Door, open_door
from tests.support.tiers.orders import accepted
from tests.support.waiting import wait_until

ORDERS = [f"SO-{n}" for n in range(5)]
ALERTS = [alert(order_id=each)["alert_id"] for each in ORDERS]
PARCEL = {"shipment": "SF0099", "carrier": "sf", "status": "IN_TRANSIT"}
OWN = {"customer_id": "c1", "supplier_id": "s1", "carrier": "sf"}
PARTY = {"customer": "c1", "supplier": "s1", "carrier": "sf"}
# Values of the path under which there is something.
KNOWN = {
    "id": [*ORDERS, *ALERTS],
    "lane": ["normal", "warning", "overdue"],
    "code": ["bad_field"],
    "carrier": ["rest"],
    "account": ["depot"],
    "token": [REST_TOKEN],
}


class Served(NamedTuple):
    """The address of a gateway, and a key of each role."""

    url: str
    keys: dict[str, str]


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    """A gateway that has read its orders."""
    with open_door(folder) as door:
        fill(door)
        with running(door) as url:
            yield Served(url, {role: key_of(door, role) for role in sorted(EVERY_ROLE)})


def key_of(door: Door, role: Role) -> str:
    """A key of a role that sees the orders."""
    tenant = "default" if role in PARTIES else None
    return door.key(role, tenant, PARTY.get(role, ""))


def fill(door: Door) -> None:
    """Write late orders, their events and a dead letter."""
    late = [
        msgspec.structs.replace(order(each, 1, alert(order_id=each), shipments=[PARCEL]), **OWN)
        for each in ORDERS
    ]
    door.put(*late)
    door.put_events(*(accepted(each, f"paid-{each}") for each in ORDERS))
    with Producer(door.connection) as producer:
        letter: Headers = [(HEADER_CODE, b"unknown_status"), (HEADER_TOPIC, EVENTS.encode())]
        producer.send(EVENTS_REJECTED, None, b'{"source":"shop"}', letter)
    door.gateway.control.start()
    wait_until(lambda: door.gateway.control.is_loaded, f"{CONTROL.name} is read")
    door.start()


@contextmanager
def running(door: Door) -> Iterator[str]:
    """Serve a gateway as `ordertide serve` does; its address."""
    logging.getLogger("ordertide.gateway").setLevel(logging.ERROR)
    listener, stop = listen("127.0.0.1", 0), threading.Event()
    ended = door.gateway.hub.close
    thread = threading.Thread(target=serve, args=(door.app, listener, stop, ended))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stop.set()
        thread.join()
