"""CloudEvents 1.0 (https://cloudevents.io), structured and binary, converted to events of ours.

`id`, `source`, `type`, `time`, `subject` become event_id, source, status_code, timestamp, order_id;
`data` is the rest of the event, and its own fields take precedence over the envelope. Extension
attributes are kept.
"""

import msgspec

from schemas.errors import Rejected
from schemas.event import Event, Tick, as_text, check_size, read_event
from schemas.sanitization import FIELDS as OBJECT
from schemas.sanitization import UNREADABLE, Fields

Headers = list[tuple[str, bytes | None]]

FIELDS = {
    "id": "event_id",
    "source": "source",
    "type": "status_code",
    "time": "timestamp",
    "subject": "order_id",
}
ENVELOPE = frozenset({"specversion", "datacontenttype", "dataschema", "data", "data_base64"})
VERSION = "1.0"
# The only header of a message whose headers the client can't read.
UNREADABLE_HEADERS = "ordertide_unreadable_headers"
BINARY = ("ce_specversion", UNREADABLE_HEADERS)


def read_message(data: bytes, headers: Headers) -> tuple[Event | Tick, bytes]:
    """The event of a message and its bytes in our own format.

    Raises:
        Rejected: it is no event; see `schemas.event.read_event`; or `invalid_cloudevent`.
    """
    if headers and is_binary(headers):
        check_size(data)
        data = from_binary(data, headers)
    elif b'"specversion"' in data:
        check_size(data)
        data = from_structured(as_text(data))
    return read_event(data)


def is_binary(headers: Headers) -> bool:
    """Return True if these are the headers of a binary CloudEvent, or may have been."""
    return any(name in BINARY for name, _ in headers)


def from_structured(data: bytes) -> bytes:
    """A structured CloudEvent as an event; data that is none is returned as it is."""
    try:
        envelope = OBJECT.decode(data)
    except UNREADABLE:
        return data  # read_event gives the reason
    if "specversion" not in envelope:
        return data
    return to_event(envelope, payload(envelope))


def payload(envelope: Fields) -> bytes:
    """The data of a structured CloudEvent: JSON as it stands, or in base64.

    Raises:
        Rejected: `invalid_cloudevent`, no base64; `invalid_utf8`.
    """
    if "data_base64" not in envelope:
        return bytes(envelope.get("data", b"{}"))
    try:
        return as_text(msgspec.json.decode(envelope["data_base64"], type=bytes))
    except UNREADABLE as error:
        raise Rejected("invalid_cloudevent", "data_base64 is no base64") from error


def from_binary(data: bytes, headers: Headers) -> bytes:
    """A binary CloudEvent: attributes in `ce_` headers, the data as the message's value.

    Raises:
        Rejected: the data is no JSON object, or a header no UTF-8.
    """
    if any(name == UNREADABLE_HEADERS for name, _ in headers):
        reason = "the name of a header is not UTF-8, so that none can be read; rename it"
        raise Rejected("invalid_cloudevent", reason)
    try:
        envelope = {
            name[3:]: msgspec.Raw(msgspec.json.encode((value or b"").decode()))
            for name, value in headers
            if name.startswith("ce_")
        }
        fields = as_text(data) or b"{}"
    except UnicodeError as error:
        raise Rejected("invalid_cloudevent", "a header is not UTF-8") from error
    except Rejected as error:
        raise Rejected("invalid_cloudevent", f"data: {error.reason}") from error
    return to_event(envelope, fields)


def to_event(envelope: Fields, data: bytes) -> bytes:
    """Our event of an envelope and its data, JSON that is copied and not read.

    Raises:
        Rejected: `invalid_cloudevent`, another version or data that is no object.
    """
    version = msgspec.json.decode(envelope["specversion"])
    if version != VERSION:
        raise Rejected("invalid_cloudevent", f"specversion {version!r:.60}; {VERSION} is read")
    try:
        fields = OBJECT.decode(data)
    except UNREADABLE as error:
        reason = "data has to be a JSON object with the event's fields"
        raise Rejected("invalid_cloudevent", f"{reason}: {error}") from error
    event = {FIELDS[name]: value for name, value in envelope.items() if name in FIELDS}
    extensions = {n: v for n, v in envelope.items() if n not in FIELDS and n not in ENVELOPE}
    fields.pop("specversion", None)  # an event is no CloudEvent when it is read again
    return msgspec.json.encode({**extensions, **event, **fields})
