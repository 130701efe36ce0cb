"""Rest: a carrier or a system of one's own that posts JSON with our names of the fields.

A push is one object, an array of them, or an object with the array under `events`. Each needs
`order_id` (or a `waybill`), `status_code` and `timestamp`; every missing one is named. Nothing is
signed, so the callback's address ends in a secret, `token`.
"""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from dataflows.carriers.carrier import (
    Acknowledgement,
    Carrier,
    CarrierConfig,
    PushContents,
    check_token,
)
from dataflows.carriers.reading import checked, decode, parse_zone, rfc3339, scan_id
from dataflows.carriers.scans import ScanReader
from dataflows.carriers.wording import canonical_carrier, text_of
from dataflows.definition_files import read_lifecycle
from schemas.errors import Busy, Rejected

STATUSES = {code: code for code in read_lifecycle().codes}
TEXTS = ("waybill", "order_id", "status_code", "timestamp", "event_id", "text")


class RestConfig(CarrierConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`token` is the last part of the callback's address; long and random.

    `carrier` is the code of the carrier whose parcels these are, where a push doesn't name one.
    """

    token: Annotated[str, Meta(min_length=16)]
    zone: str = "+00:00"
    carrier: str = ""


class Push(msgspec.Struct, frozen=True):
    """A push of several."""

    events: list[msgspec.Raw]


PUSH = msgspec.json.Decoder(Push)
LIST = msgspec.json.Decoder(list[msgspec.Raw])
NODE = msgspec.json.Decoder(dict[str, Any])


class Rest(Carrier):
    """The plug-in for whoever posts our own fields."""

    name = "rest"
    Config = RestConfig

    def __init__(self, config: RestConfig) -> None:
        self.token = config.token
        self.carrier = config.carrier
        self.zone = parse_zone(config.zone, of="carriers.rest.zone")
        self.statuses = {**STATUSES, **config.statuses}

    def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        check_token(headers, self.token)

    def events(self, body: bytes) -> list[dict[str, Any]]:
        return self.contents(body).events

    def contents(self, body: bytes) -> PushContents:
        reader = ScanReader()
        for number, raw in enumerate(nodes_of(body)):
            reader.read(f"events[{number}]", partial(self.read_node, reader, raw))
        return reader.contents()

    def read_node(self, reader: ScanReader, raw: bytes) -> None:
        """Add an event to `reader`.

        Raises:
            Rejected: a field is missing, or can't be used.
        """
        sent = decode(NODE, raw)
        node = {name: text_of(sent.get(name)) for name in TEXTS}
        missing = [name for name in ("status_code", "timestamp") if name not in sent]
        if not node["order_id"] and not node["waybill"]:
            missing.insert(0, "order_id")
        if missing:
            raise Rejected("invalid_event", f"{', '.join(missing)}: missing; send them")
        code, time = node["status_code"], node["timestamp"]
        status = self.statuses.get(code)
        parts = (node["order_id"], node["waybill"], code, time, node["text"])
        carrier = canonical_carrier(text_of(sent.get("carrier")) or self.carrier)
        event = {
            "event_id": node["event_id"] or scan_id(*parts),
            "status_code": status or "SCAN",
            "raw_status": code if code != status else None,
            "timestamp": rfc3339(time, self.zone),
            "source": "carrier:rest",
            "carrier": carrier or None,
            "order_id": node["order_id"] or None,
            "waybill": node["waybill"] or None,
            "location": location_of(sent.get("location")),
            "personal": {"text": node["text"]} if node["text"] else None,
        }
        reader.add(checked(event), is_mapped=status is not None)

    def acknowledge(self, error: Rejected | Busy | None) -> Acknowledgement:
        headers = {"content-type": "application/json; charset=utf-8"}
        if error is None:
            answer: dict[str, Any] = {"accepted": True, "message": "taken"}
            return Acknowledgement(200, headers, msgspec.json.encode(answer))
        status = 503 if isinstance(error, Busy) else 400
        answer = {"accepted": False, "message": error.reason}
        return Acknowledgement(status, headers, msgspec.json.encode(answer))


def location_of(sent: Any) -> dict[str, Any] | None:  # noqa: ANN401 - a field as it was sent
    """A place by its name, or as an event has it: an object with `name`, `lat` and `lon`."""
    if isinstance(sent, dict):
        return sent
    name = text_of(sent)
    return {"name": name} if name else None


def nodes_of(body: bytes) -> list[bytes]:
    """The objects of a push, whatever form it has.

    Raises:
        Rejected: `invalid_utf8`, `malformed_json`, `invalid_event`.
    """
    text = body.lstrip()
    if text.startswith(b"["):
        return [bytes(raw) for raw in decode(LIST, text)]
    if "events" in decode(NODE, body):
        return [bytes(raw) for raw in decode(PUSH, body).events]
    return [body]
