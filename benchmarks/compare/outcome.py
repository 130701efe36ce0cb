"""Final output of a system, read from its topics."""

from collections.abc import Iterable, Iterator

import msgspec

from benchmarks.compare.verdict import final_of, instant
from broker.fetcher import Message
from schemas.topics import CLOCK_KEY, ORDERS_AUDIT

RULE = "carrier_silent"
decode = msgspec.json.Decoder().decode


def last_changes(messages: Iterable[Message]) -> dict[str, bytes]:
    """The last change of every order: the digest of each. Tombstones and clocks don't count."""
    last: dict[bytes, bytes] = {}
    for message in messages:
        key, value = message.key, message.value
        if value is not None and key is not None and key != CLOCK_KEY.encode():
            last[key] = value
    changes = map(decode, last.values())
    return {change["order_id"]: final_of(change) for change in changes}


def alerts_of(messages: Iterable[Message], topic: str) -> Iterator[tuple[str, int]]:
    """(order, due); of ordertide's audit what the job's rule has opened."""
    for message in messages:
        said = decode(message.value or b"{}")
        if topic == ORDERS_AUDIT:
            said = opened(said)
        if said:
            yield said["order_id"], instant(said.get("due_at") or said["because"]["due_at"])


def opened(entry: dict[str, dict[str, str] | None]) -> dict[str, str] | None:
    """The alert of an audit entry, if the rule has opened one."""
    alert = entry.get("alert")
    is_ours = alert is not None and alert["rule"] == RULE and alert["state"] == "opened"
    return alert if is_ours else None
