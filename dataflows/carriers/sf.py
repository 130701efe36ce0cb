"""SF Express (顺丰): RoutePushService, a few new nodes a push.

A push is JSON with at most ten nodes of any parcels, most of them repeats of earlier ones. SF signs
nothing, so the callback's address has to end in a secret, `token`.
"""

import hmac
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from dataflows.carriers.carrier import CALLBACK_TOKEN, Acknowledgement, Carrier, CarrierConfig
from dataflows.carriers.reading import checked, decode, parse_zone, rfc3339, scan_id
from schemas.errors import Busy, Rejected

# opCodes as seen in public code; SF adds new ones without notice.
STATUSES = {
    "50": "COLLECTED",
    "54": "COLLECTED",
    "30": "IN_TRANSIT",
    "31": "IN_TRANSIT",
    "36": "IN_TRANSIT",
    "123": "IN_TRANSIT",  # at the last station
    "130": "IN_TRANSIT",  # at the last station
    "44": "OUT_FOR_DELIVERY",
    "33": "DELIVERY_FAILED",
    "70": "DELIVERY_FAILED",
    "80": "DELIVERED",
    "8000": "DELIVERED",
    "607": "DELIVERED",  # picked up from a locker or a partner
    "99": "RETURN_TO_SENDER",
    "631": "RETURN_TO_SENDER",
    "648": "RETURN_TO_SENDER",
}

# These opCodes stand for a return and for a new address alike; only the text tells which.
FORWARDING = frozenset({"99", "631", "648"})


class SFConfig(CarrierConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`token` is the last part of the callback's address; long and random."""

    token: Annotated[str, Meta(min_length=16)]
    zone: str = "+08:00"


class Node(msgspec.Struct, frozen=True):
    """A scan. `orderid` is our number, as it was given when the waybill was ordered."""

    mailno: str
    acceptTime: str  # noqa: N815 - SF's name
    opCode: str | int  # noqa: N815 - SF's name
    remark: str = ""
    acceptAddress: str | None = None  # noqa: N815 - SF's name
    orderid: str | None = None
    id: str | int | None = None
    reasonCode: str | None = None  # noqa: N815 - SF's name
    reasonName: str | None = None  # noqa: N815 - SF's name


class Routes(msgspec.Struct, frozen=True):
    """The list of nodes."""

    WaybillRoute: list[Node]


class Push(msgspec.Struct, frozen=True):
    """What is posted."""

    Body: Routes


PUSH = msgspec.json.Decoder(Push)


class SF(Carrier):
    """The plug-in for SF Express."""

    name = "sf"
    Config = SFConfig

    def __init__(self, config: SFConfig) -> None:
        self.token = config.token
        self.zone = parse_zone(config.zone, of="carriers.sf.zone")
        self.statuses = {**STATUSES, **config.statuses}
        self.decided = frozenset(config.statuses)

    def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        token = headers.get(CALLBACK_TOKEN, "")
        if not hmac.compare_digest(token.encode(errors="replace"), self.token.encode()):
            raise Rejected("bad_signature", "the address doesn't end in the configured token")

    def events(self, body: bytes) -> list[dict[str, Any]]:
        return [self.event(node) for node in decode(PUSH, body).Body.WaybillRoute]

    def event(self, node: Node) -> dict[str, Any]:
        """The event of a scan. Its text can name people, so it is personal."""
        raw = str(node.opCode)
        text = {"text": node.remark, "reason": node.reasonName, "reason_code": node.reasonCode}
        derived = scan_id(node.mailno, raw, node.acceptTime, node.remark)
        return checked(
            {
                "event_id": str(node.id) if node.id else derived,
                "status_code": self.status_of(raw, node.remark),
                "raw_status": raw,
                "timestamp": rfc3339(node.acceptTime, self.zone),
                "source": "carrier:sf",
                "carrier": "sf",
                "waybill": node.mailno,
                "references": {"sf_order": node.orderid} if node.orderid else None,
                "location": {"name": node.acceptAddress} if node.acceptAddress else None,
                "personal": {name: value for name, value in text.items() if value} or None,
            }
        )

    def status_of(self, raw: str, text: str) -> str:
        """The lifecycle's status for an opCode; the text decides between forwarded and returned."""
        is_forwarded = "转寄" in text and "退回" not in text
        if raw in FORWARDING - self.decided and is_forwarded:
            return "IN_TRANSIT"
        return self.statuses.get(raw, "SCAN")

    def acknowledge(self, error: Rejected | Busy | None) -> Acknowledgement:
        headers = {"content-type": "application/json; charset=utf-8"}
        if error is None:
            answer = {"return_code": "0000", "return_msg": "成功"}
            return Acknowledgement(200, headers, msgspec.json.encode(answer))
        answer = {"return_code": "1000", "return_msg": error.reason}
        status = 503 if isinstance(error, Busy) else 400
        return Acknowledgement(status, headers, msgspec.json.encode(answer))
