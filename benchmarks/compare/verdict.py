"""Verdict on two systems: digests over final orders and over alerts."""

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

from benchmarks.compare.order import milliseconds

# ordertide also derives milestones that follow from an event; the others have events only.
DERIVED = {"SHIPPED"}

Final = bytes  # 16 bytes for one order


class FinalResult(NamedTuple):
    """Final outcome of a system. `alerts` are (order, due time in ms)."""

    finals: Mapping[str, Final]
    alerts: frozenset[tuple[str, int]]


def final_of(change: Mapping[str, Any]) -> Final:
    """An order's last change, as 16 bytes: status, time of the last update, milestones.

    Both manners are read: instants in ms, and RFC 3339 as in ordertide's documents.
    """
    milestones = sorted(
        (code, instant(at)) for code, at in change["milestones"].items() if code not in DERIVED
    )
    said = (change["order_id"], change["status"], instant(change["updated_at"]), milestones)
    return blake2b(repr(said).encode(), digest_size=16).digest()


def instant(value: int | str) -> int:
    """Milliseconds."""
    return milliseconds(value) if isinstance(value, str) else value


def digest(items: Iterable[bytes]) -> str:
    """16 hex digits over a set, whatever its order."""
    return blake2b(b"".join(sorted(items)), digest_size=8).hexdigest()


def digests(result: FinalResult) -> tuple[str, str]:
    """Of the finals, and of the alerts."""
    alerts = (f"{order_id} {due_at}".encode() for order_id, due_at in result.alerts)
    return digest(key.encode() + final for key, final in result.finals.items()), digest(alerts)


def differences(found: FinalResult, expected: FinalResult) -> list[str]:
    """Differences from the expectation, in sentences with an example; empty when all is equal."""
    said = []
    missing = expected.finals.keys() - found.finals.keys()
    beyond = found.finals.keys() - expected.finals.keys()
    shared = expected.finals.keys() & found.finals.keys()
    other = [key for key in shared if found.finals[key] != expected.finals[key]]
    for what, keys in (("missing", missing), ("unknown", beyond), ("different", other)):
        if keys:
            said.append(f"{len(keys):,} orders {what}, such as {min(keys)}")
    for what, alerts in (
        ("missing", expected.alerts - found.alerts),
        ("too many", found.alerts - expected.alerts),
    ):
        if alerts:
            said.append(f"{len(alerts):,} alerts {what}, such as {min(alerts)}")
    return said
