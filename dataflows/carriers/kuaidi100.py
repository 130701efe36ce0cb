"""Kuaidi100 (快递100), an aggregator of Chinese carriers: the whole history in every push.

A push is a form with `param` (JSON) and `sign`, the upper-case hex MD5 of param + salt. Nodes come
newest first, their times have no zone. With the aggregator's paid "advanced states" each node has a
`statusCode`. Without, its status follows from its Chinese text, else from the node's `status`, else
for the newest node from the parcel's `state` (tables/kuaidi100.toml).

The source of all scans is the aggregator, whichever carrier it names: it corrects that name
(`comOld`, `comNew`) and sends the history again, and a scan must count once. A parcel forwarded
abroad has a second number (`destResult`); its scans belong to the parcel with the first number.
"""

import hmac
from collections.abc import Iterator, Mapping
from functools import partial
from hashlib import md5
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from dataflows.carriers.carrier import (
    Acknowledgement,
    Carrier,
    CarrierConfig,
    PushContents,
    UnreadableScan,
)
from dataflows.carriers.datum import to_wgs84
from dataflows.carriers.reading import checked, decode, form_field, parse_zone, rfc3339, scan_id
from dataflows.carriers.scans import ScanReader
from dataflows.carriers.wording import (
    Wording,
    canonical_carrier,
    plain,
    statuses_of,
    text_of,
    texts_of,
)
from schemas.errors import Busy, Rejected

SOURCE = "carrier:kuaidi100"
STATUSES = statuses_of("kuaidi100")
STATE_TEXTS = texts_of("kuaidi100")

MAX_LAT, MAX_LON = 90, 180

# A parcel's state that adds nothing to a node: it is what the aggregator writes by default.
DEFAULT_STATES = frozenset({"IN_TRANSIT", "SCAN"})


class Kuaidi100Config(CarrierConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`salt` as given with the subscription; `phrases` are tried before the built-in ones."""

    salt: Annotated[str, Meta(min_length=1)]
    zone: str = "+08:00"
    phrases: dict[str, str] = msgspec.field(default_factory=dict)


class Node(msgspec.Struct, frozen=True):
    """A scan. `areaCenter` is `lon,lat` of the district's centre in GCJ-02.

    Fields may have any type: a field that is odd costs itself only, or the node if it is needed.
    """

    time: Any = None
    context: Any = None
    ftime: Any = None
    status: Any = None
    statusCode: Any = None  # noqa: N815 - the aggregator's name
    areaName: Any = None  # noqa: N815 - the aggregator's name
    areaCenter: Any = None  # noqa: N815 - the aggregator's name


class Parcel(msgspec.Struct, frozen=True):
    """A parcel's history; `com` is the carrier's code, e.g. `shentong`."""

    nu: Any = None
    com: Any = None
    state: Any = None
    data: list[msgspec.Raw] | None = None


class Push(msgspec.Struct, frozen=True):
    """Content of `param`; `destResult` is the history in the country of arrival.

    `status` is the state of the tracking, one of `TRACKING_STATES`.
    """

    status: Any = None
    lastResult: Parcel | None = None  # noqa: N815 - the aggregator's name
    destResult: Parcel | None = None  # noqa: N815 - the aggregator's name


TRACKING_STATES = ("polling", "shutdown", "abort", "updateall")
PUSH = msgspec.json.Decoder(Push)
NODE = msgspec.json.Decoder(Node)


class Leg(NamedTuple):
    """History of a parcel as read: the number of the parcel in events, and another one abroad."""

    waybill: str
    carrier: str
    state: str
    abroad: str | None = None


class Scan(NamedTuple):
    """A node of a history, not yet decoded, and its place in the payload."""

    place: str
    leg: Leg
    raw: bytes
    is_newest: bool


class Kuaidi100(Carrier):
    """The plug-in for Kuaidi100."""

    name = "kuaidi100"
    Config = Kuaidi100Config

    def __init__(self, config: Kuaidi100Config) -> None:
        self.salt = config.salt
        self.zone = parse_zone(config.zone, of="carriers.kuaidi100.zone")
        self.statuses = {**STATUSES, **config.statuses}
        self.wording = Wording(config.phrases)

    def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        try:
            param, sign = form_field(body, "param"), form_field(body, "sign")
        except Rejected as error:
            raise Rejected("bad_signature", f"there is no signed form: {error.reason}") from error
        if param is None or sign is None:
            raise Rejected("bad_signature", "the form needs the fields param and sign")
        expected = signature(param, self.salt)
        if not hmac.compare_digest(expected.encode(), sign.encode()):
            raise Rejected("bad_signature", "sign is not the MD5 of param and the configured salt")

    def events(self, body: bytes) -> list[dict[str, Any]]:
        return self.contents(body).events

    def contents(self, body: bytes) -> PushContents:
        push = decode(PUSH, param_of(body))
        reader = ScanReader()
        for place, parcel, leg in legs(push):
            for number, raw in enumerate(parcel.data or []):
                scan = Scan(f"{place}.data[{number}]", leg, bytes(raw), is_newest=number == 0)
                reader.read(scan.place, partial(self.read_node, reader, scan))
        return reader.contents()

    def read_node(self, reader: ScanReader, scan: Scan) -> None:
        """Add the event of a scan to `reader`. Its text can name people, so it is personal.

        Raises:
            Rejected: it can't be read.
        """
        node, leg = decode(NODE, scan.raw), scan.leg
        text, code = text_of(node.context), text_of(node.statusCode)
        state_text = text_of(node.status)
        if not isinstance(node.context, str) and not code and not state_text:
            raise Rejected("invalid_event", "context: is no text, and there is no code")
        time, timestamp = self.time_of(node)
        status = self.status_of_node(code, text, state_text)
        told_by = [text]
        if status is None and scan.is_newest and not code:
            status = self.status_of_state(leg.state)
            # The same scan counts once more when the parcel's state gives its status.
            told_by += ["state", leg.state] if status else []
        event = {
            "event_id": scan_id(leg.abroad or leg.waybill, time, *told_by),
            "status_code": status or "SCAN",
            "raw_status": code or state_text or (leg.state if len(told_by) > 1 else None),
            "timestamp": timestamp,
            "source": SOURCE,
            "carrier": leg.carrier or None,
            "waybill": leg.waybill,
            "references": {"waybill_abroad": leg.abroad} if leg.abroad else None,
            "location": self.location(reader, scan.place, node),
            "personal": {"text": text} if text else None,
        }
        reader.add(checked(event), is_mapped=status is not None)

    def time_of(self, node: Node) -> tuple[str, str]:
        """(the time as sent, as RFC 3339) of a node.

        Raises:
            Rejected: neither of its times is a date and a time of day.
        """
        times = [sent for sent in (text_of(node.ftime), text_of(node.time)) if sent]
        for sent in times[:-1]:
            try:
                return sent, rfc3339(sent, self.zone)
            except Rejected:
                continue  # the other one may be whole; its fault is raised if it isn't
        sent = times[-1] if times else ""
        return sent, rfc3339(sent, self.zone)

    def location(self, reader: ScanReader, place: str, node: Node) -> dict[str, Any] | None:
        """The district of a scan; the name alone where its centre can't be read."""
        try:
            return location_of(node)
        except Rejected as error:
            reader.note(UnreadableScan(place, error, is_lost=False))
            name = text_of(node.areaName)
            return {"name": name} if name else None

    def status_of(self, raw: str | None, text: str) -> str:
        """The lifecycle's status for a code, or for a text where there is no code."""
        return self.status_of_node(raw or "", text, "") or "SCAN"

    def status_of_node(self, code: str, text: str, state_text: str) -> str | None:
        """The status by the code; without one by the text, else by the node's own status text."""
        if code:
            return self.statuses.get(code)
        by_text = self.wording.status_of(text)
        if by_text is not None or not state_text:
            return by_text
        by_state = self.statuses.get(state_text) or STATE_TEXTS.get(plain(state_text))
        return by_state or self.wording.status_of(state_text)

    def status_of_state(self, state: str) -> str | None:
        """The status of a parcel's state, unless that is the default one."""
        status = self.statuses.get(state) or STATE_TEXTS.get(plain(state))
        return None if status in DEFAULT_STATES else status

    def acknowledge(self, error: Rejected | Busy | None) -> Acknowledgement:
        headers = {"content-type": "application/json; charset=utf-8"}
        if error is None:
            answer = {"result": True, "returnCode": "200", "message": "成功"}
            return Acknowledgement(200, headers, msgspec.json.encode(answer))
        # About 40 retries follow any returnCode but 200.
        status = 503 if isinstance(error, Busy) else 400
        answer = {"result": False, "returnCode": str(status), "message": error.reason}
        return Acknowledgement(status, headers, msgspec.json.encode(answer))


def param_of(body: bytes) -> bytes:
    """The JSON of a push: the form's `param`, or the body itself where that is JSON.

    Raises:
        Rejected: `invalid_utf8`, or `invalid_event`: there is none.
    """
    if body.lstrip().startswith(b"{"):
        return body
    param = form_field(body, "param")
    if param is None:
        raise Rejected("invalid_event", "the form has no field param")
    return param.encode()


def legs(push: Push) -> Iterator[tuple[str, Parcel, Leg]]:
    """(place, history, what all of its scans share) of the histories of a push.

    Raises:
        Rejected: `invalid_event`: there is none, and no status with the reason.
    """
    if push.lastResult is None and push.destResult is None:
        if not text_of(push.status):
            raise Rejected("invalid_event", "lastResult: missing, and so are destResult and status")
        if text_of(push.status) not in TRACKING_STATES:
            reason = f"lastResult: missing, and status {text_of(push.status)[:40]!r} is none of "
            raise Rejected("invalid_event", reason + ", ".join(TRACKING_STATES))
    home = push.lastResult
    number = text_of(home.nu) if home else ""
    if home:
        yield "lastResult", home, leg_of(home, number)
    if push.destResult:
        second = text_of(push.destResult.nu)
        abroad = second if number and second not in {"", number} else None
        yield "destResult", push.destResult, leg_of(push.destResult, number or second, abroad)


def leg_of(parcel: Parcel, waybill: str, abroad: str | None = None) -> Leg:
    """A history's number, carrier and state."""
    carrier = canonical_carrier(text_of(parcel.com))
    return Leg(waybill, carrier, text_of(parcel.state), abroad)


def signature(param: str, salt: str) -> str:
    """Upper-case hex MD5 of param + salt."""
    return md5((param + salt).encode()).hexdigest().upper()  # noqa: S324 - the aggregator's choice


def location_of(node: Node) -> dict[str, Any] | None:
    """The district of a scan, converted to WGS 84; None if the node names none.

    Raises:
        Rejected: `invalid_event`: areaCenter isn't `lon,lat`.
    """
    name, center = text_of(node.areaName), text_of(node.areaCenter)
    if not center:
        return {"name": name} if name else None
    reason = f"areaCenter: {center[:40]!r} is not lon,lat"
    try:
        lon, lat = (float(part) for part in center.split(","))
        lat, lon = to_wgs84(lat, lon)
    except ValueError as error:
        raise Rejected("invalid_event", reason) from error
    if not (abs(lat) <= MAX_LAT and abs(lon) <= MAX_LON):
        raise Rejected("invalid_event", reason)
    place = {"lat": round(lat, 6), "lon": round(lon, 6), "datum": "GCJ02"}
    return {"name": name, **place} if name else place
