"""Webhooks for the pictures: some of a running demo, with a receiver that fails now and then."""

import itertools
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from commands.demo.local_server import LocalHandler, LocalServer
from commands.key import address_of
from gateway.access.folder import open_folder
from schemas.errors import OrdertideError
from schemas.settings.model import ServeSettings
from telemetry.http_client import HttpClient, HttpFailed

PATH = "/v1/webhooks"
DELIVERIES = 16
WITHIN_S, POLL_S = 180.0, 1.0
FAILS_EVERY = 7
NOT_YET = 503
ALERTS = ("alert.opened", "alert.escalated", "alert.resolved")
REQUESTS = itertools.count()


class Receiver(LocalHandler):
    """Takes deliveries: `/gone` wants no more, the others fail now and then."""

    def do_POST(self) -> None:  # noqa: N802 - http.server looks for this name
        """Answer 410, 503 or 204."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.startswith("/gone"):
            self.answer(410, b"this shop has moved")
        elif next(REQUESTS) % FAILS_EVERY == FAILS_EVERY - 1:
            self.answer(503, b"restarting")
        else:
            self.answer(204, b"")


@contextmanager
def shown_webhooks(own: ServeSettings) -> Iterator[str]:
    """The path of a webhook with deliveries; all that were made for it are deleted afterwards."""
    key = open_folder(Path(own.folder)).admin_key
    server = LocalServer("receiver", Receiver)
    with server, closing(HttpClient(address_of(own, own.port), token=key)) as client:
        wanted: list[dict[str, Any]] = [
            {"name": "Warehouse", "url": f"{server.url}/events", "types": ["order.changed"]},
            {"name": "CRM", "url": f"{server.url}/crm", "types": ["order.created"]},
            {"name": "Service desk", "url": f"{server.url}/desk", "types": ALERTS},
            {"name": "Former shop", "url": f"{server.url}/gone"},
        ]
        wanted[1]["types"].append("order.delivered")
        wanted[2]["filter"] = {"lane": ["warning", "overdue"], "carrier": ["loggi", "correios"]}
        made = [sent(client, "POST", PATH, each)["id"] for each in wanted]
        try:
            sent(client, "POST", f"{PATH}/{made[1]}/pause")
            wait_for_deliveries(client, made[0])
            yield f"/settings/webhooks/{made[0]}"
        finally:
            for name in made:
                sent(client, "DELETE", f"{PATH}/{name}")


def wait_for_deliveries(client: HttpClient, name: str) -> None:
    """Wait until a webhook has its deliveries.

    Raises:
        OrdertideError: too few came.
    """
    give_up_at_s = time.monotonic() + WITHIN_S
    while deliveries_done(client, name) < DELIVERIES:
        if time.monotonic() > give_up_at_s:
            raise OrdertideError(
                f"webhooks: fewer than {DELIVERIES} deliveries were taken within {WITHIN_S:g} s; "
                "take the pictures of a demo whose sample is through"
            )
        time.sleep(POLL_S)


def deliveries_done(client: HttpClient, name: str) -> int:
    """The number of the latest deliveries that were taken; 0 before the worker's first one."""
    try:
        found = sent(client, "GET", f"{PATH}/{name}/deliveries?limit=100")["deliveries"]
    except HttpFailed as failed:
        if failed.status != NOT_YET:
            raise
        return 0
    return sum(each["state"] == "done" for each in found)


def sent(client: HttpClient, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - any JSON
    """The answer to a request; None without one."""
    data = None if body is None else msgspec.json.encode(body)
    response = client.request(method, path, data, {"Content-Type": "application/json"})
    return msgspec.json.decode(response.body) if response.body else None
