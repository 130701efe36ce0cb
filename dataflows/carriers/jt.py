"""J&T Express (极兔): scans of one or several parcels in a push, signed with the account's key.

A push is a form whose field `bizContent` holds JSON: an array of parcels, or one parcel, each with
`billCode` and `details`. The header `digest` is the base64 of the MD5 of bizContent + privateKey.
Source: J&T's documentation of the callback (轨迹回传) for Malaysia and Mexico, of the webhook for
Vietnam and of the query for China, as quoted in public repositories; never tried with an account.

Two sets of `scanTypeCode` exist: 110 is a problem on the international platform and an arrival in
Vietnam, so an account names its set. Vietnam's own example pushes a code of the international set,
whose other codes are therefore read there too. China sends no code, but the name of the scan.
"""

import base64
import hmac
from collections.abc import Mapping
from functools import partial
from hashlib import md5
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from dataflows.carriers.carrier import (
    Acknowledgement,
    Carrier,
    CarrierConfig,
    PushContents,
)
from dataflows.carriers.reading import checked, decode, form_field, parse_zone, rfc3339, scan_id
from dataflows.carriers.scans import ScanReader
from dataflows.carriers.wording import Wording, statuses_of, text_of
from schemas.errors import Busy, Rejected

INTERNATIONAL = statuses_of("jt")
STATUSES = {"international": INTERNATIONAL, "vietnam": INTERNATIONAL | statuses_of("jt_vietnam")}

# A scan of these says that there is a problem, and its `problemType` and text which one.
PROBLEM_CODE, PROBLEM_NAME = "110", "问题件"
PROBLEMS = frozenset({"DELIVERY_FAILED", "RETURN_TO_SENDER", "DAMAGED", "LOST", "CUSTOMS_HOLD"})


class JTConfig(CarrierConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`secret` is the account's privateKey; `codes` the set of its scanTypeCode."""

    secret: Annotated[str, Meta(min_length=1)]
    zone: str = "+08:00"
    codes: Literal["international", "vietnam"] = "international"


class Scan(msgspec.Struct, frozen=True):
    """A scan. `scanTypeName` or `scanType` is the name of its kind, `desc` the text for customers.

    `timeZone` isn't read: the documented example names +08:00 for a courier in Mexico. Fields may
    have any type: a field that is odd costs itself only, or the scan if it is needed.
    """

    scanTime: Any = None  # noqa: N815 - J&T's name
    desc: Any = None
    scanTypeCode: Any = None  # noqa: N815 - J&T's name
    scanTypeName: Any = None  # noqa: N815 - J&T's name
    scanType: Any = None  # noqa: N815 - J&T's name
    problemType: Any = None  # noqa: N815 - J&T's name
    probleDescription: Any = None  # noqa: N815 - J&T's name, in Egypt's documentation
    scanNetworkName: Any = None  # noqa: N815 - J&T's name
    scanNetworkCity: Any = None  # noqa: N815 - J&T's name


class Parcel(msgspec.Struct, frozen=True):
    """A parcel with new scans. `txlogisticId` is our number, as it was given with the order."""

    billCode: Any = None  # noqa: N815 - J&T's name
    txlogisticId: Any = None  # noqa: N815 - J&T's name
    details: list[msgspec.Raw] | dict[str, Any] | None = None


class Wrapped(msgspec.Struct, frozen=True):
    """A push written as one JSON document, as J&T's documentation prints it."""

    bizContent: msgspec.Raw  # noqa: N815 - J&T's name


PARCELS = msgspec.json.Decoder(list[msgspec.Raw])
PARCEL = msgspec.json.Decoder(Parcel)
SCAN = msgspec.json.Decoder(Scan)
ANY = msgspec.json.Decoder(dict[str, Any])
WRAPPED = msgspec.json.Decoder(Wrapped)


class JT(Carrier):
    """The plug-in for J&T Express."""

    name = "jt"
    Config = JTConfig

    def __init__(self, config: JTConfig) -> None:
        self.secret = config.secret
        self.zone = parse_zone(config.zone, of="carriers.jt.zone")
        self.statuses = STATUSES[config.codes] | config.statuses
        has_problem = config.codes == "international" and PROBLEM_CODE not in config.statuses
        self.problem_codes = {PROBLEM_CODE} if has_problem else set[str]()
        self.wording = Wording()

    def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        try:
            content = form_field(body, "bizContent")
        except Rejected as error:
            raise Rejected("bad_signature", f"there is no signed form: {error.reason}") from error
        sent = headers.get("digest", "")
        if content is None or not sent:
            reason = "the form needs the field bizContent, and the request the header digest"
            raise Rejected("bad_signature", reason)
        expected = digest(content, self.secret)
        if not hmac.compare_digest(expected.encode(), sent.encode(errors="replace")):
            reason = "digest is not that of bizContent and the configured secret"
            raise Rejected("bad_signature", reason)

    def events(self, body: bytes) -> list[dict[str, Any]]:
        return self.contents(body).events

    def contents(self, body: bytes) -> PushContents:
        reader = ScanReader()
        for number, raw in enumerate(parcels_of(body)):
            reader.read(f"[{number}]", partial(self.read_parcel, reader, f"[{number}]", raw))
        return reader.contents()

    def read_parcel(self, reader: ScanReader, place: str, raw: bytes) -> None:
        """Add the events of a parcel to `reader`.

        Raises:
            Rejected: it is no parcel, or has no `details`.
        """
        parcel = decode(PARCEL, raw)
        if parcel.details is None:
            raise Rejected("invalid_event", "details: missing")
        details = parcel.details if isinstance(parcel.details, list) else [parcel.details]
        for number, detail in enumerate(details):
            scan = bytes(detail) if isinstance(detail, msgspec.Raw) else msgspec.json.encode(detail)
            read = partial(self.read_scan, reader, parcel, scan)
            reader.read(f"{place}.details[{number}]", read)

    def read_scan(self, reader: ScanReader, parcel: Parcel, raw: bytes) -> None:
        """Add the event of a scan to `reader`. Its text names people, so it is personal.

        Raises:
            Rejected: it can't be read.
        """
        scan = decode(SCAN, raw)
        waybill, order = text_of(parcel.billCode), text_of(parcel.txlogisticId)
        code, text = text_of(scan.scanTypeCode), text_of(scan.desc)
        name = text_of(scan.scanTypeName) or text_of(scan.scanType)
        problem = text_of(scan.problemType) or text_of(scan.probleDescription)
        if not (code or name or text):
            raise Rejected("invalid_event", "scanTypeCode, scanTypeName and desc: all are empty")
        time = text_of(scan.scanTime)
        timestamp = rfc3339(time, self.zone)
        status = self.mapped(code, name, problem, text)
        personal = {"text": text, "reason": problem}
        event = {
            "event_id": scan_id(waybill, code or name, time, text),
            "status_code": status or "SCAN",
            "raw_status": code or name or None,
            "timestamp": timestamp,
            "source": "carrier:jt",
            "carrier": "jt",
            "waybill": waybill,
            "references": {"jt_order": order} if order else None,
            "location": location_of(scan),
            "personal": {field: value for field, value in personal.items() if value} or None,
        }
        reader.add(checked(event), is_mapped=status is not None)

    def mapped(self, code: str, name: str, problem: str, text: str) -> str | None:
        """The status of a scan by its code, else by the name of its kind, else by its text.

        A problem is refined by its kind and text. None without a mapping.
        """
        if code:
            status = self.statuses.get(code)
        else:
            status = self.wording.status_of(name) or self.wording.status_of(text)
        if code in self.problem_codes or (not code and PROBLEM_NAME in name):
            refined = self.wording.status_of(problem) or self.wording.status_of(text)
            return refined if refined in PROBLEMS else status
        return status

    def acknowledge(self, error: Rejected | Busy | None) -> Acknowledgement:
        headers = {"content-type": "application/json; charset=utf-8"}
        answer = {"code": "1", "msg": "success", "data": "SUCCESS"}
        if error is None:
            return Acknowledgement(200, headers, msgspec.json.encode(answer))
        status = 503 if isinstance(error, Busy) else 400
        answer = {"code": "0", "msg": error.reason, "data": "FAIL"}
        return Acknowledgement(status, headers, msgspec.json.encode(answer))


def parcels_of(body: bytes) -> list[bytes]:
    """The parcels of a push as JSON, whether it is a form or the content of its field.

    Raises:
        Rejected: `invalid_utf8`, `malformed_json`, `invalid_event`: there is none.
    """
    content = content_of(body)
    if content.startswith(b"{"):
        return [content]
    parcels = [bytes(raw) for raw in decode(PARCELS, content)]
    if not parcels:
        raise Rejected("invalid_event", "bizContent: it names no parcel")
    return parcels


def content_of(body: bytes) -> bytes:
    """The JSON of `bizContent`: of the form's field, of the document's, or the body itself.

    Raises:
        Rejected: `invalid_utf8`, `malformed_json`, or `invalid_event`: there is none.
    """
    text = body.lstrip()
    if text.startswith(b"["):
        return text
    if text.startswith(b"{"):
        is_wrapped = "bizContent" in decode(ANY, text)
        return bytes(decode(WRAPPED, text).bizContent) if is_wrapped else text
    content = form_field(body, "bizContent")
    if content is None:
        raise Rejected("invalid_event", "the form has no field bizContent")
    return content.lstrip().encode()


def digest(content: str, secret: str) -> str:
    """Base64 of the MD5 of content + secret: the bytes of the hash, not its hexadecimal text."""
    hashed = md5((content + secret).encode()).digest()  # noqa: S324 - J&T's choice
    return base64.b64encode(hashed).decode()


def location_of(scan: Scan) -> dict[str, Any] | None:
    """The branch and its city; None if the scan names neither."""
    names = [text_of(scan.scanNetworkName), text_of(scan.scanNetworkCity)]
    name = ", ".join(dict.fromkeys(part for part in names if part))
    return {"name": name} if name else None
