"""Messages with the same (source, event_id): which one wins, and whether they contradict."""

import json
from collections.abc import Iterable
from hashlib import blake2b
from itertools import groupby
from typing import Any, Protocol

from dataflows.core.fact import Fact
from dataflows.core.order_limits import hash_of
from dataflows.core.packing import LOST, NO_ENTRY, NO_FIELDS, SENT_AT, Order
from schemas.numbers import as_number, as_waybill
from schemas.sanitization import DROPPED


class Duplicates(Protocol):
    """Who counts duplicates."""

    def duplicate(self, fact: Fact) -> None:
        """Count one."""


def arrival_order(fact: Fact) -> tuple[int, bool, str, str]:
    """Facts by arrival; of one ms the commands last, by source and event_id."""
    return fact.arrival_at, fact.command, fact.source, fact.event_id


def by_arrival(facts: list[Fact]) -> Iterable[tuple[int, list[Fact]]]:
    """(arrival, the facts of that ms), in order; sorts `facts`."""
    if len(facts) == 1:
        return [(facts[0].arrival_at, facts)]
    facts.sort(key=arrival_order)
    groups = groupby(facts, key=lambda fact: fact.arrival_at)
    return [(arrival_at, list(group)) for arrival_at, group in groups]


def content_hash(fact: Fact) -> int:
    """Hash of what the message says: blake2b of its compact JSON, keys sorted.

    Without `recorded_at`, and without `personal`: sealed under another store's keys, the same
    message would have other bytes, and another rival might win. `dropped_fields` sorted, as they
    are named in the order in which the message has them.
    """
    said = json.loads(fact.raw)
    said.pop("recorded_at", None)
    said.pop("personal", None)
    if said.get(DROPPED):
        said[DROPPED] = sorted(said[DROPPED])
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def same(one: Fact, other: Fact) -> bool:
    """Whether two facts say the same of everything that the order keeps."""
    return said_by(one) == said_by(other)


def said_by(fact: Fact) -> tuple[Any, ...]:
    """What a fact says: the time as sent, the status, the parcel's name, the order's fields."""
    sent_at = fact.at if fact.sent_at is None else fact.sent_at
    return sent_at, fact.status, sent_name(fact), fact.fields or {}


def sent_name(fact: Fact) -> str:
    """The parcel's name as sent, in its normal form."""
    return as_waybill(fact.waybill) if fact.waybill else as_number(fact.shipment)


def winners(group: list[Fact], out: Duplicates) -> Iterable[Fact]:
    """Of the facts of one arrival those that win, in the same order.

    A loser that contradicts its winner is handed on after it, so that the order is flagged.
    """
    if len(group) == 1:
        return group
    by_hash: dict[int, list[Fact]] = {}
    for fact in group:
        by_hash.setdefault(fact.hash, []).append(fact)
    if len(by_hash) == len(group):
        return group
    chosen: list[Fact] = []
    for rivals in by_hash.values():
        rivals.sort(key=content_hash)
        chosen.append(rivals[0])
        for rival in rivals[1:]:
            if same(rivals[0], rival):
                out.duplicate(rival)
            else:
                chosen.append(rival)
    return chosen


def conflicts(order: Order, fact: Fact) -> bool:
    """Whether a duplicate contradicts the entry that the order holds."""
    entry = order.find(fact.hash)
    if entry == NO_ENTRY:
        return False  # a ping that was thinned out: nothing is kept to compare with
    first, extras = order.word(entry), order.extras.get(entry, {})
    sent_at, status, name, fields = said_by(fact)
    held = (extras.get(SENT_AT, first >> 22), first >> 14 & 0xFF)
    if (*held, order.sent_name(first >> 6 & 0xFF)) != (sent_at, status, name):
        return True
    if LOST in extras:
        return bool(extras[LOST] != hash_of(fact.fields))
    return bool(fields != {key: value for key, value in extras.items() if key not in NO_FIELDS})
