"""Bad messages as senders really write them, each with the one code that it is rejected for."""

from typing import NamedTuple

from schemas.instants import DAY_MS, format_instant


class BadMessage(NamedTuple):
    """`text` has places for a unique name, the time, the day, and how every event ends."""

    code: str
    text: bytes
    ahead_ms: int = 0  # how far the sender's clock is off


WHOLE = (
    b'{"event_id":"%(name)s","order_id":"%(name)s","status_code":"PAID",'
    b'"timestamp":"%(time)s","source":"shop"%(end)s'
)
BAD_MESSAGES = (
    BadMessage("malformed_json", WHOLE.partition(b',"source"')[0]),  # cut off
    BadMessage("malformed_json", b"<html>502 Bad Gateway %(time)s</html>"),
    BadMessage("malformed_json", WHOLE.replace(b'"shop"', b'"shop","attributes":{"weight":NaN}')),
    BadMessage("malformed_json", WHOLE.replace(b'"', b"'")),  # Python's way to write it
    BadMessage("invalid_utf8", WHOLE.replace(b"shop", b"\xc9\xcc\xb5\xea")),  # GBK
    BadMessage("invalid_event", WHOLE.replace(b'"status_code":"PAID",', b"")),
    BadMessage("invalid_event", WHOLE.replace(b'"PAID"', b"2")),
    BadMessage("invalid_event", WHOLE.replace(b"%(time)s", b"%(day)s")),
    BadMessage("invalid_event", b"[" + WHOLE + b"]"),  # a batch of one
    BadMessage("no_order", WHOLE.replace(b'"order_id"', b'"orderId"')),
    BadMessage("unknown_status", WHOLE.replace(b"PAID", b"NO_SUCH_STATUS")),
    BadMessage("implausible_time", WHOLE.replace(b"%(time)s", b"2101-01-01T00:00:00Z")),
    BadMessage("from_the_future", WHOLE, ahead_ms=3 * DAY_MS),
    BadMessage("invalid_cloudevent", WHOLE.replace(b"{", b'{"specversion":"0.3",', 1)),
)


def bad_message(number: int) -> BadMessage:
    """One of them after the other."""
    return BAD_MESSAGES[number % len(BAD_MESSAGES)]


def write_bad(bad: BadMessage, name: bytes, at: int, end: bytes) -> bytes:
    """The bytes of a bad message; `end` closes the object."""
    time = format_instant(at + bad.ahead_ms).encode()
    return bad.text % {b"name": name, b"time": time, b"day": time[:10], b"end": end}
