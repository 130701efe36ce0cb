"""CloudEvents 1.0 (https://cloudevents.io), structured and binary, as events of ours.

`id`, `source`, `type`, `time`, `subject` become event_id, source, status_code, timestamp, order_id;
`data` is the rest of the event, and what it says itself goes before the envelope. Extension
attributes are kept.
"""

import json
from typing import Any

from schemas.errors import Rejected
from schemas.event import Event, Tick, decode_event

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


def read_message(data: bytes, headers: Headers) -> tuple[Event | Tick, bytes]:
    """The event of a message and its bytes in our own format.

    Raises:
        Rejected: it is no event; see `schemas.event.decode_event`; or `invalid_cloudevent`.
    """
    if headers and any(name == "ce_specversion" for name, _ in headers):
        data = from_binary(data, headers)
    elif b'"specversion"' in data:
        data = from_structured(data)
    return decode_event(data), data


def from_structured(data: bytes) -> bytes:
    """A structured CloudEvent as an event; data that is none is returned as it is."""
    try:
        envelope = json.loads(data)
    except (ValueError, RecursionError):
        return data  # decode_event says what is wrong with it
    if not isinstance(envelope, dict) or "specversion" not in envelope:
        return data
    return to_event(envelope, envelope.get("data", {}))


def from_binary(data: bytes, headers: Headers) -> bytes:
    """A binary CloudEvent: attributes in `ce_` headers, the data as the message's value.

    Raises:
        Rejected: the data is no JSON object, or a header no UTF-8.
    """
    try:
        envelope = {
            name[3:]: (value or b"").decode() for name, value in headers if name.startswith("ce_")
        }
        return to_event(envelope, json.loads(data or b"{}"))
    except (ValueError, RecursionError) as error:
        raise Rejected("invalid_cloudevent", str(error)) from error


def to_event(envelope: dict[str, Any], said: Any) -> bytes:  # noqa: ANN401 - whatever JSON held
    """Our event of an envelope and its data.

    Raises:
        Rejected: `invalid_cloudevent`, another version or data that is no object.
    """
    if envelope.get("specversion") != VERSION:
        reason = f"specversion {envelope.get('specversion')!r}; {VERSION} is read"
        raise Rejected("invalid_cloudevent", reason)
    if not isinstance(said, dict):
        raise Rejected("invalid_cloudevent", "data has to be a JSON object with the event's fields")
    event = {FIELDS[name]: value for name, value in envelope.items() if name in FIELDS}
    extensions = {n: v for n, v in envelope.items() if n not in FIELDS and n not in ENVELOPE}
    return json.dumps({**extensions, **event, **said}, ensure_ascii=False).encode()
