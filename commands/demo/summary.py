"""The demo's end: a summary, one order from each tier, and what to try next."""

import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from commands.demo.topic_counter import TopicCounter
from commands.lookup import look_up
from commands.lookup_text import text_of
from dataflows.core.lifecycle import Lifecycle
from schemas.alert_text import AlertText
from schemas.errors import Busy, UnknownOrder
from schemas.instants import DAY_MS, HOUR_MS, parse_instant
from schemas.order import OrderDocument
from schemas.settings.model import Settings
from storage_tiering.find import Answer

MAX_TRIES = 30
# Events of a file and what comes of them: the sample's in a checkout, else generated ones.
OLIST = (
    "example olist > events.ndjson",
    "replay events.ndjson --until 2018-12-31T00:00:00-03:00 --out results",
)
GENERATED = (
    "load --orders-per-day 1000 --duration 3d --out events.ndjson",
    "replay events.ndjson --out results",
)
# Tier → how long ago, on the stream clock, the latest event of an order lies that only it has.
AGES_MS = {
    "hot": (0, 72 * HOUR_MS),
    "warm": (80 * HOUR_MS, 80 * DAY_MS),
    "archive": (150 * DAY_MS, 10_000 * DAY_MS),
}


def summary(counter: TopicCounter, text: AlertText) -> str:
    """Orders by status, alerts by rule, actions by kind."""
    alerts = [
        f"{text.rule(rule)} {count:,}"
        + (f" ({counter.escalated[rule]:,} escalated)" if counter.escalated[rule] else "")
        for rule, count in counter.opened.most_common()
    ]
    return "\n".join(
        [
            f"orders    {len(counter.orders):,}: {listed(counter.statuses())}",
            f"          {len(counter.retired):,} of them retired from memory",
            f"lanes     {listed(counter.lanes())} (live orders)",
            f"alerts    {sum(counter.opened.values()):,} opened: {', '.join(alerts)}",
            f"actions   {sum(counter.actions.values()):,}: {listed(counter.actions)}",
        ]
    )


def listed(counts: Counter[str]) -> str:
    """`DELIVERED 4,856, PAID 68`."""
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common())


def look_ups(
    counter: TopicCounter, settings: Settings, text: AlertText, table: Lifecycle
) -> Iterator[tuple[str, str, str | None]]:
    """For each tier: its name, the answer in words, and the order id (None where no order fits)."""
    for tier in AGES_MS:
        answer = answered_by(tier, counter, settings)
        if answer is None:
            yield tier, f"  no order of this run is in the {tier} tier and in no hotter one", None
        else:
            yield tier, text_of(answer, text, table), answer.found.document.order_id


def answered_by(tier: str, counter: TopicCounter, settings: Settings) -> Answer | None:
    """Look-up of an order that is answered by this tier."""
    for order in candidates(tier, counter)[:MAX_TRIES]:
        try:
            answer = look_up(settings, order.tenant, order.order_id)
        except (Busy, UnknownOrder):
            continue  # the next may be there
        if answer.tier == tier:
            return answer
    return None


def candidates(tier: str, counter: TopicCounter) -> list[OrderDocument]:
    """Orders of the right age, those with the most content first.

    For the archive, of those that are over: the warm tier keeps an order while it is open.
    """
    least_ms, most_ms = AGES_MS[tier]
    clock_at = counter.clock_at or 0
    fitting = [
        order
        for order in counter.orders.values()
        if order.updated_at and least_ms <= clock_at - parse_instant(order.updated_at) <= most_ms
        if tier != "archive" or not (order.open_alerts or order.deadlines)
    ]
    return sorted(
        fitting,
        key=lambda o: (-len(o.open_alerts), -len(o.milestones), -o.version, o.order_id),
    )


def next_commands(settings_file: Path, order_id: str, *, has_olist: bool) -> str:
    """Commands to try after the demo, for the shell it was started from."""
    ordertide = program()
    return "\n".join(
        [
            "Try next:",
            f"  {ordertide} lookup {order_id} --settings {settings_file}",
            *(f"  {ordertide} {command}" for command in (OLIST if has_olist else GENERATED)),
            f"  {ordertide} list",
            *(["README.md shows how to point it at real servers."] if has_olist else []),
        ]
    )


def program() -> str:
    """Command of this shell for ordertide."""
    started = Path(sys.argv[0])
    if started.name != "ordertide":
        return f"python {started}"
    return "ordertide" if shutil.which("ordertide") else str(started)
