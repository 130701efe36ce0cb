"""Finding an order: the hot tier first, then the warm one, then the archive."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Literal

import msgspec

from schemas.errors import Busy, UnknownOrder
from schemas.order import AcceptedEvent
from storage_tiering.tier import Found, Stale, Tier, by_time

TierAnswer = Found | Stale | Busy | None


class Asked(msgspec.Struct, frozen=True):
    """The answer of a tier. `stale`: it may be outdated, or the order may only be missing there.

    `reason` is why a busy one gave none, or why a stale one can't be vouched for.
    """

    tier: str
    answer: Literal["found", "unknown", "busy", "stale"]
    reason: str | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Result of a look-up: the order, its tier, and all tiers queried, in their order."""

    tier: str
    found: Found
    asked: list[Asked]


def find(tiers: Sequence[Tier], tenant: str, order_id: str) -> Answer:
    """Return the order from the first of `tiers` (hottest first) that has it and vouches for it.

    While a tier can't be vouched for, the colder ones are queried as well, and the highest version
    wins; `found.stale` is set where it is from such a tier.

    Raises:
        UnknownOrder: every tier answered, none has it.
        Busy: none of those that answered has it, but not all did, or not all can be vouched for.
    """
    return _best(tiers, _answers(tiers, tenant, order_id), tenant, order_id)


def find_many(
    tiers: Sequence[Tier], names: Sequence[tuple[str, str]]
) -> list[Answer | UnknownOrder | Busy]:
    """`find` for many orders, by (tenant, order id); the hottest tier is queried for all at once.

    Errors are returned, each for its order.
    """
    hottest: Sequence[TierAnswer]
    try:
        hottest = tiers[0].find_many(names)
    except Busy as busy:
        hottest = [busy] * len(names)
    found: list[Answer | UnknownOrder | Busy] = []
    for name, first in zip(names, hottest, strict=True):
        try:
            found.append(_best(tiers, chain([first], _answers(tiers[1:], *name)), *name))
        except (UnknownOrder, Busy) as error:
            found.append(error)
    return found


def _answers(tiers: Sequence[Tier], tenant: str, order_id: str) -> Iterator[TierAnswer]:
    """The answers of tiers, each queried when its answer is."""
    for tier in tiers:
        try:
            yield tier.find(tenant, order_id)
        except (Busy, Stale) as none:
            yield none


def _best(
    tiers: Sequence[Tier], answers: Iterable[TierAnswer], tenant: str, order_id: str
) -> Answer:
    asked: list[Asked] = []
    best: tuple[str, Found] | None = None
    for tier, answer in zip(tiers, answers, strict=False):
        asked.append(_asked(tier.name, answer))
        if not isinstance(answer, Found):
            continue
        if best is None or _is_better(answer, best[1]):
            best = tier.name, answer
        if answer.stale is None:
            break
    if best is None:
        raise _not_found(tenant, order_id, asked)
    return Answer(tier=best[0], found=best[1], asked=asked)


def _asked(tier: str, answer: TierAnswer) -> Asked:
    if answer is None:
        return Asked(tier, "unknown")
    if isinstance(answer, Busy):
        return Asked(tier, "busy", answer.reason)
    if isinstance(answer, Stale):
        return Asked(tier, "stale", str(answer))
    return Asked(tier, "stale" if answer.stale else "found", answer.stale)


def _is_better(found: Found, other: Found) -> bool:
    """Return True for the higher version, which is newer whatever its tier's state."""
    newer = found.document.version - other.document.version
    return newer > 0 or (newer == 0 and found.stale is None)


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
        except (Busy, Stale):
            continue  # the others may have it all
        if found is not None:
            yield found


def _not_found(tenant: str, order_id: str, asked: list[Asked]) -> UnknownOrder | Busy:
    order = f"order {order_id!r} of tenant {tenant!r}"
    busy = [f"{each.tier} ({each.reason})" for each in asked if each.answer == "busy"]
    stale = [f"{each.tier} ({each.reason})" for each in asked if each.answer == "stale"]
    silent = [each.tier for each in asked if each.answer == "unknown"]
    if busy:
        known = f"not in {', '.join(silent)}; " if silent else ""
        return Busy(f"{order}: {known}no answer from {', '.join(busy)}; retry")
    if stale:
        known = f"in none of {', '.join(silent)}; " if silent else ""
        return Busy(f"{order}: {known}missing from {', '.join(stale)}, which can't be vouched for")
    return UnknownOrder(
        f"{order} is in none of the tiers {', '.join(silent)}; check the id and the tenant, "
        "or whether its events were accepted (events.rejected)"
    )
