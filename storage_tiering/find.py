"""Finding an order: the hot tier first, then the warm one, then the archive."""

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from schemas.errors import Busy, UnknownOrder
from schemas.order import AcceptedEvent
from storage_tiering.tier import Found, Tier, by_time


class Asked(msgspec.Struct, frozen=True):
    """What a tier said. `reason` is why a busy one couldn't say."""

    tier: str
    answer: Literal["found", "unknown", "busy"]
    reason: str | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The order, which tier it is from, and all tiers that were asked for it, in their order."""

    tier: str
    found: Found
    asked: list[Asked]


def find(tiers: Sequence[Tier], tenant: str, order_id: str) -> Answer:
    """The order from the first of `tiers` (hottest first) that has it.

    Raises:
        UnknownOrder: every tier answered, none has it.
        Busy: none of those that answered has it, but not all did.
    """
    asked: list[Asked] = []
    for tier in tiers:
        try:
            found = tier.find(tenant, order_id)
        except Busy as busy:
            asked.append(Asked(tier.name, "busy", busy.reason))
            continue
        asked.append(Asked(tier.name, "unknown" if found is None else "found"))
        if found is not None:
            return Answer(tier=tier.name, found=found, asked=asked)
    raise _not_found(tenant, order_id, asked)


def timeline(tiers: Sequence[Tier], tenant: str, order_id: str) -> list[AcceptedEvent]:
    """The events of an order from all `tiers` that answer, each once, by time.

    A hotter tier drops an order after a while, and has only what came since when it comes back.
    """
    by_hash = {
        event.event_hash: event
        for found in _found_in(tiers, tenant, order_id)
        for event in found.timeline
    }
    return by_time(list(by_hash.values()))


def _found_in(tiers: Sequence[Tier], tenant: str, order_id: str) -> Iterator[Found]:
    for tier in tiers:
        try:
            found = tier.find(tenant, order_id)
        except Busy:
            continue  # the others may have it all
        if found is not None:
            yield found


def _not_found(tenant: str, order_id: str, asked: list[Asked]) -> UnknownOrder | Busy:
    order = f"order {order_id!r} of tenant {tenant!r}"
    busy = [f"{each.tier} ({each.reason})" for each in asked if each.answer == "busy"]
    silent = [each.tier for each in asked if each.answer == "unknown"]
    if busy:
        known = f"not in {', '.join(silent)}; " if silent else ""
        return Busy(f"{order}: {known}no answer from {', '.join(busy)}; ask again")
    return UnknownOrder(
        f"{order} is in none of the tiers {', '.join(silent)}; check the id and the tenant, "
        "or whether its events were accepted (events.rejected)"
    )
