"""A carrier of the live demo that doesn't push: its scans are answers to `ordertide poll`.

It is a server in the demo's own process. The first scan of a parcel is the seller's, at the
handover, and makes the parcel known; all others stay with the carrier until it is asked.
"""

from collections import defaultdict
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from commands.demo.local_server import LocalHandler, LocalServer
from commands.demo.orders import Event, Timed

CARRIER = "jadlog"
HANDOVER = "COLLECTED"
FIELDS = ("event_id", "order_id", "status_code", "timestamp", "carrier", "location")
# A minute of the demo is an hour of its stream: there it asks every half an hour to an hour.
INTERVALS = dict.fromkeys(("COLLECTED", "IN_TRANSIT", "OUT_FOR_DELIVERY"), "1m")
BATCH, RATE = "40", "5"


class Handler(LocalHandler):
    """Answers the query of the poller `rest`."""

    def __init__(self, carrier: "PolledCarrier", *connection: Any) -> None:  # noqa: ANN401 - the base class's
        """Take a connection to `carrier`."""
        self.carrier = carrier
        super().__init__(*connection)

    def do_GET(self) -> None:  # noqa: N802 - http.server looks for this name
        """Answer with the scans of the parcels that are asked for."""
        numbers = parse_qs(urlsplit(self.path).query).get("waybill", [])
        scans = [scan for number in numbers for scan in self.carrier.scans_of(number)]
        self.answer(200, msgspec.json.encode({"events": scans}))


class PolledCarrier(LocalServer):
    """The carrier, inside a `with` block."""

    def __init__(self) -> None:
        """Create a carrier without scans."""
        self.scans: defaultdict[str, list[Event]] = defaultdict(list)
        super().__init__("carrier", partial(Handler, self))

    @property
    def settings(self) -> dict[str, object]:
        """The settings of the poller."""
        account = {"url": self.url, "carriers": CARRIER, "batch": BATCH, "rate": RATE}
        return {"carriers": {"rest": {CARRIER: account}}, "intervals": INTERVALS}

    def keep(self, timed: Timed) -> bool:
        """Return True if an event is a scan that it keeps for itself; called by one thread."""
        event = timed[3]
        is_kept = event.get("source") == f"carrier:{CARRIER}" and event["status_code"] != HANDOVER
        if is_kept:
            scan = {name: event[name] for name in FIELDS} | {"waybill": event["shipment"]}
            self.scans[event["shipment"]].append(scan)
        return is_kept

    def scans_of(self, number: str) -> list[Event]:
        """Scans of a parcel until now."""
        return list(self.scans.get(number, ()))
