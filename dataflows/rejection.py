"""Rejection: from a message that can't be taken to its dead letter.

The headers of a binary CloudEvent hold half of the event, so they stay with the original and
`ordertide rejected replay` sends them again. Headers with our own names are left out: in a message
that was copied from events.rejected they would contradict the new reason.
"""

from hashlib import sha256

import msgspec

from broker.fetcher import Message
from dataflows.decoding import Decoder, Headers
from dataflows.exchange import Dead
from schemas import topics
from schemas.cloudevents import UNREADABLE_HEADERS
from schemas.errors import Rejected

PERSONAL = "personal"


def dead_message(message: Message, reason: Rejected, decoder: Decoder) -> Dead:
    """The dead letter of a message, personal data in its value and headers sealed."""
    value = message.value or b""
    data = decoder.original(value, message.headers)
    headers = original_headers(message, decoder) if data is not None else []
    return Dead(
        data=data,
        key=message.key,
        code=reason.code,
        reason=reason.reason,
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        headers=headers,
        size_bytes=len(value),
        sha256=sha256(value).hexdigest() if data is None else "",
    )


def original_headers(message: Message, decoder: Decoder) -> Headers:
    """The headers that came with a message; one that can't be sealed is left out."""
    kept: Headers = []
    for name, value in message.headers:
        if name in topics.LETTER_HEADERS or name == UNREADABLE_HEADERS:
            continue
        text = value or b""
        if PERSONAL in name.lower():  # no such extension can be read; what it holds is sealed
            text = msgspec.json.encode({PERSONAL: text})
        sealed = decoder.original(text, message.headers)
        if sealed is not None:
            kept.append((name, sealed if value is not None else None))
    return kept
