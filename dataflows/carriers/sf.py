"""SF Express (顺丰): RoutePushService, a few new nodes a push.

A push has at most ten nodes of any parcels, most of them repeats of earlier ones. The customer
chooses its form with SF: JSON, or a form whose field `content` holds XML. SF signs nothing, so the
callback's address has to end in a secret, `token`.
"""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from dataflows.carriers.carrier import (
    Acknowledgement,
    Carrier,
    CarrierConfig,
    PushContents,
    check_token,
)
from dataflows.carriers.reading import checked, decode, form_field, parse_zone, rfc3339, scan_id
from dataflows.carriers.route_xml import route_nodes
from dataflows.carriers.scans import ScanReader
from dataflows.carriers.wording import Wording, statuses_of, text_of
from schemas.errors import Busy, Rejected

STATUSES = statuses_of("sf")

# These opCodes stand for a return and for a new address alike; only the text distinguishes them.
FORWARDING = frozenset({"99", "631", "648"})


class SFConfig(CarrierConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`token` is the last part of the callback's address; long and random.

    `answer` is the form of the acknowledgement: that of the pushes, which is chosen with SF.
    """

    token: Annotated[str, Meta(min_length=16)]
    zone: str = "+08:00"
    answer: Literal["json", "xml"] = "json"


class Node(msgspec.Struct, frozen=True):
    """A scan. `orderid` is our number, as it was given when the waybill was ordered.

    Fields may have any type: a field that is odd costs itself only, or the node if it is needed.
    """

    mailno: Any = None
    acceptTime: Any = None  # noqa: N815 - SF's name
    opCode: Any = None  # noqa: N815 - SF's name
    remark: Any = None
    acceptAddress: Any = None  # noqa: N815 - SF's name
    orderid: Any = None
    id: Any = None
    reasonCode: Any = None  # noqa: N815 - SF's name
    reasonName: Any = None  # noqa: N815 - SF's name


class Routes(msgspec.Struct, frozen=True):
    """The list of nodes."""

    WaybillRoute: list[msgspec.Raw]


class Push(msgspec.Struct, frozen=True):
    """JSON body of a push."""

    Body: Routes


PUSH = msgspec.json.Decoder(Push)
NODE = msgspec.json.Decoder(Node)


class SF(Carrier):
    """The plug-in for SF Express."""

    name = "sf"
    Config = SFConfig

    def __init__(self, config: SFConfig) -> None:
        self.token = config.token
        self.zone = parse_zone(config.zone, of="carriers.sf.zone")
        self.statuses = {**STATUSES, **config.statuses}
        self.decided = frozenset(config.statuses)
        self.answer = config.answer
        self.wording = Wording()

    def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        check_token(headers, self.token)

    def events(self, body: bytes) -> list[dict[str, Any]]:
        return self.contents(body).events

    def contents(self, body: bytes) -> PushContents:
        reader = ScanReader()
        for number, raw in enumerate(nodes_of(body)):
            reader.read(f"Body.WaybillRoute[{number}]", partial(self.read_node, reader, raw))
        return reader.contents()

    def read_node(self, reader: ScanReader, raw: bytes) -> None:
        """Add the event of a scan to `reader`. Its text can name people, so it is personal.

        Raises:
            Rejected: it can't be read.
        """
        node = decode(NODE, raw)
        waybill, code, remark = text_of(node.mailno), text_of(node.opCode), text_of(node.remark)
        if not code and not remark:
            raise Rejected("invalid_event", "opCode and remark: both are empty")
        time, address = text_of(node.acceptTime), text_of(node.acceptAddress)
        timestamp, order = rfc3339(time, self.zone), text_of(node.orderid)
        personal = {
            "text": remark,
            "reason": text_of(node.reasonName),
            "reason_code": text_of(node.reasonCode),
        }
        status = self.mapped(code, remark)
        event = {
            "event_id": text_of(node.id) or scan_id(waybill, code, time, remark),
            "status_code": status or "SCAN",
            "raw_status": code or None,
            "timestamp": timestamp,
            "source": "carrier:sf",
            "carrier": "sf",
            "waybill": waybill,
            "references": {"sf_order": order} if order else None,
            "location": {"name": address} if address else None,
            "personal": {name: value for name, value in personal.items() if value} or None,
        }
        reader.add(checked(event), is_mapped=status is not None)

    def status_of(self, raw: str, text: str) -> str:
        """The lifecycle's status for an opCode; the text decides between forwarded and returned."""
        return self.mapped(raw, text) or "SCAN"

    def mapped(self, code: str, text: str) -> str | None:
        """The status of an opCode, or of the text where there is none; None without a mapping."""
        if not code:
            return self.wording.status_of(text)
        is_forwarded = "转寄" in text and "退回" not in text
        if code in FORWARDING - self.decided and is_forwarded:
            return "IN_TRANSIT"
        return self.statuses.get(code)

    def acknowledge(self, error: Rejected | Busy | None) -> Acknowledgement:
        status = 200 if error is None else 503 if isinstance(error, Busy) else 400
        if self.answer == "xml":
            headers = {"content-type": "application/xml; charset=utf-8"}
            return Acknowledgement(status, headers, xml_answer(is_taken=error is None))
        headers = {"content-type": "application/json; charset=utf-8"}
        answer = {"return_code": "0000", "return_msg": "成功"}
        if error is not None:
            answer = {"return_code": "1000", "return_msg": error.reason}
        return Acknowledgement(status, headers, msgspec.json.encode(answer))


def nodes_of(body: bytes) -> list[bytes]:
    """The nodes of a push as JSON, whatever form it has.

    Raises:
        Rejected: `invalid_utf8`, `malformed_json`, `invalid_event`.
    """
    if body.lstrip().startswith(b"<"):
        return route_nodes(body)
    if body.startswith(b"content=") or b"&content=" in body:
        content = (form_field(body, "content") or "").strip()
        if not content.startswith("{"):
            return route_nodes(content.encode())
        body = content.encode()
    return [bytes(raw) for raw in decode(PUSH, body).Body.WaybillRoute]


def xml_answer(*, is_taken: bool) -> bytes:
    """SF's XML acknowledgement."""
    error = "" if is_taken else '<ERROR code="4001">系统发生数据错误或运行时异常</ERROR>'
    head = "OK" if is_taken else "ERR"
    return f'<Response service="RoutePushService"><Head>{head}</Head>{error}</Response>'.encode()
