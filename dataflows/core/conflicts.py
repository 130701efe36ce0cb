"""Messages with the same (source, event_id): which one wins, and whether they contradict."""

import json
from collections.abc import Iterable
from hashlib import blake2b
from itertools import groupby
from typing import Protocol

from dataflows.core.fact import Fact
from dataflows.core.order_limits import LOST, hash_of
from dataflows.core.packing import Order


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
    message would have other bytes, and another rival might win.
    """
    said = json.loads(fact.raw)
    said.pop("recorded_at", None)
    said.pop("personal", None)
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def same(one: Fact, other: Fact) -> bool:
    """Whether two facts say the same of everything that the order keeps."""
    return (one.at, one.status, one.shipment, one.fields) == (
        other.at,
        other.status,
        other.shipment,
        other.fields,
    )


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
    first = order.word(entry)
    held = (first >> 22, first >> 14 & 0xFF, order.shipments[first >> 6 & 0xFF].name)
    if held != (fact.at, fact.status, fact.shipment):
        return True
    extras = order.extras.get(entry, {})
    if LOST in extras:
        return bool(extras[LOST] != hash_of(fact.fields))
    fields = {name: value for name, value in extras.items() if name != "corrects"}
    return fields != (fact.fields or {})
