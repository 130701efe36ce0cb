"""The event as it comes in: JSON, one object a message, field for field as in docs/events.md."""

from codecs import BOM_UTF8
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from schemas.errors import Rejected
from schemas.instants import DAY_MS, EPOCH, LATEST_AT, ONE_MS, format_instant, is_plausible
from schemas.json_faults import json_fault
from schemas.keys import DEFAULT_TENANT
from schemas.optional_fields import OptionalFields, is_sound
from schemas.sanitization import sanitize

MAX_EVENT_BYTES = 512_000
MAX_AHEAD_MS = DAY_MS
MAX_ID, MAX_CODE = 256, 64  # characters
MAX_PARCELS = 250

Id = Annotated[str, Meta(min_length=1, max_length=MAX_ID)]
Code = Annotated[str, Meta(min_length=1, max_length=MAX_CODE)]
Text = Annotated[str, Meta(min_length=1)]
Instant = Annotated[datetime, Meta(tz=True)]
Scalar = str | int | float | bool | None
Datum = Literal["WGS84", "GCJ02"]


class Location(msgspec.Struct, frozen=True, omit_defaults=True):
    """Location of an event; degrees, WGS 84 (`datum` names what a point was converted from)."""

    name: Id | None = None
    lat: Annotated[float, Meta(ge=-90, le=90)] | None = None
    lon: Annotated[float, Meta(ge=-180, le=180)] | None = None
    datum: Datum | None = None


class Destination(msgspec.Struct, frozen=True, omit_defaults=True):
    """Destination of an order, without personal data; degrees, WGS 84."""

    town: Id | None = None
    region: Id | None = None
    country: Id | None = None
    lat: Annotated[float, Meta(ge=-90, le=90)] | None = None
    lon: Annotated[float, Meta(ge=-180, le=180)] | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that happened to an order or parcel. Unknown fields stay in the original bytes.

    An optional field that is null or blank is absent, and most that can't be used are left out and
    named in `dropped_fields`: see `schemas.optional_fields`.
    """

    event_id: Id
    status_code: Code
    timestamp: Instant
    source: Id
    order_id: Id | None = None
    waybill: Id | None = None
    references: dict[Code, Id | list[Id]] | None = None
    tenant: Id = DEFAULT_TENANT
    kind: Literal["fact", "command"] = "fact"
    shipment: Id | None = None
    promised_at: Text | None = None
    ship_by: Text | None = None
    zone: Text | None = None
    planned: dict[Code, Instant] | None = None
    location: Location | None = None
    operator: Text | None = None
    ip: Text | None = None
    attributes: dict[Code, Scalar] | None = None
    customer_id: Id | None = None
    supplier_id: Id | None = None
    carrier: Id | None = None
    personal: dict[str, Any] | None = None
    corrects: Id | None = None
    replaces: Id | None = None
    parcels_expected: Annotated[int, Meta(ge=1, le=MAX_PARCELS)] | None = None
    destination: Destination | None = None
    recorded_at: Instant | None = None
    format: Literal[1] = 1
    dropped_fields: list[str] | None = None

    @property
    def at(self) -> int:
        """When it happened, in ms."""
        return (self.timestamp - EPOCH) // ONE_MS


class Tick(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="tick"):
    """A feeder's promise: everything recorded up to `recorded_at` has been written before this."""

    recorded_at: Instant

    @property
    def at(self) -> int:
        """The promised instant, in ms."""
        return (self.recorded_at - EPOCH) // ONE_MS


EVENT = msgspec.json.Decoder(Event)
TICK = msgspec.json.Decoder(Tick)
OPTIONAL = OptionalFields(
    Event,
    {"location": Location, "destination": Destination},
    {"attributes": Scalar, "planned": Instant, "references": Id},
)


def decode_event(data: bytes) -> Event | Tick:
    """Read one event; see `read_event`."""
    return read_event(data)[0]


def read_event(data: bytes) -> tuple[Event | Tick, bytes]:
    """One event and its bytes, sanitized.

    Raises:
        Rejected: `too_large`, `invalid_utf8`, `malformed_json`, `invalid_number`, `invalid_event`
            (which field, and why), `no_order` (no order_id, and no waybill or references that name
            a number), `implausible_time`.
    """
    check_size(data)
    data = sanitize(as_text(data))
    try:
        event, data = decode_usable(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise explain(data, error) from error
    if isinstance(event, Tick):
        check_plausible("recorded_at", event.at)
        return event, data
    check_named(event)
    if event.at >= LATEST_AT:
        check_plausible("timestamp", event.at)
    return event, data


def decode_usable(data: bytes) -> tuple[Event | Tick, bytes]:
    """Decode an event, without what is blank or unusable in its optional fields; or a tick."""
    try:
        event = EVENT.decode(data)
    except msgspec.ValidationError:
        if (tick := decode_tick(data)) is not None:
            return tick, data
    else:
        if is_sound(event, data):
            return event, data
    cleaned = OPTIONAL.usable(data)
    return EVENT.decode(cleaned), cleaned


def check_named(event: Event) -> None:
    """Refuse an event that names neither an order nor a number.

    Raises:
        Rejected: `no_order`.
    """
    if event.order_id is None and event.waybill is None and not any_number(event):
        dropped = ", ".join(event.dropped_fields or [])
        left_out = f"; {dropped} can't be used" if dropped else ""
        raise Rejected("no_order", f"one of order_id, waybill or references is needed{left_out}")


def field_of(dropped: str) -> str:
    """The field of a name in `dropped_fields`: `location` of `location.lat`; else `other`."""
    name = dropped.partition(".")[0]
    return name if name in Event.__struct_fields__ else "other"


def check_size(data: bytes) -> None:
    """Refuse what is too large; what the engine writes about an event is larger than the event.

    Raises:
        Rejected: `too_large`.
    """
    if len(data) > MAX_EVENT_BYTES:
        raise too_large(len(data))


def too_large(size_bytes: int) -> Rejected:
    """The rejection of a message of this size."""
    return Rejected("too_large", f"{size_bytes} bytes; at most {MAX_EVENT_BYTES} are taken")


def as_text(data: bytes) -> bytes:
    """The bytes without a byte-order mark, known to be UTF-8.

    Raises:
        Rejected: `invalid_utf8`.
    """
    if not data.isascii():
        data = data.removeprefix(BOM_UTF8)
        check_utf8(data)
    return data


def any_number(event: Event) -> bool:
    """Return True if `references` hold at least one number: a kind may come without any."""
    return any((event.references or {}).values())


def check_utf8(data: bytes) -> str:
    """The text of `data`, all of it: the decoder passes over texts in fields that we don't read.

    Raises:
        Rejected: `invalid_utf8`, with the place.
    """
    try:
        return data.decode()
    except UnicodeDecodeError as unreadable:
        raise Rejected("invalid_utf8", f"byte {unreadable.start} is not UTF-8") from unreadable


def decode_tick(data: bytes) -> Tick | None:
    """Read `data`, which is no event, as a tick; None if it is none either."""
    if b'"tick"' not in data:
        return None
    try:
        return TICK.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # the reason it is no event is the one to give


def explain(data: bytes, error: Exception) -> Rejected:
    """The one clear reason why `data` is no event."""
    try:
        text = check_utf8(data)
    except Rejected as unreadable:
        return unreadable
    is_json = isinstance(error, msgspec.ValidationError)
    return Rejected("invalid_event" if is_json else "malformed_json", json_fault(error, text))


def check_plausible(field: str, at: int) -> None:
    """Refuse instants outside 1970-2100, which only a broken clock writes.

    Raises:
        Rejected: `implausible_time`.
    """
    if not is_plausible(at):
        raise Rejected("implausible_time", f"{field}: not between 1970 and 2100")


def check_arrival(at: int, arrival_at: int) -> None:
    """Refuse an event from the future.

    Raises:
        Rejected: `from_the_future`, more than 24 h ahead of its arrival.
    """
    if at - arrival_at > MAX_AHEAD_MS:
        time, came = format_instant(at), format_instant(arrival_at)
        raise Rejected("from_the_future", f"timestamp {time} is over 24 h ahead of arrival {came}")
