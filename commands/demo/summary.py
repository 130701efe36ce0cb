"""The demo's end: a summary, one order from each tier, and what to try next."""

import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from commands.demo.topic_counter import Tally
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
# Tier → how long ago, on the stream clock, the latest event of an order lies that only it has.
AGES_MS = {
    "hot": (0, 72 * HOUR_MS),
    "warm": (80 * HOUR_MS, 80 * DAY_MS),
    "archive": (150 * DAY_MS, 10_000 * DAY_MS),
}


def summary(tally: Tally, text: AlertText) -> str:
    """Orders by status, alerts by rule, actions by kind."""
    alerts = [
        f"{text.rule(rule)} {count:,}"
        + (f" ({tally.escalated[rule]:,} escalated)" if tally.escalated[rule] else "")
        for rule, count in tally.opened.most_common()
    ]
    return "\n".join(
        [
            f"orders    {len(tally.orders):,}: {listed(tally.statuses())}",
            f"          {len(tally.retired):,} of them retired from memory",
            f"lanes     {listed(tally.lanes())} (live orders)",
            f"alerts    {sum(tally.opened.values()):,} opened: {', '.join(alerts)}",
            f"actions   {sum(tally.actions.values()):,}: {listed(tally.actions)}",
        ]
    )


def listed(counts: Counter[str]) -> str:
    """`DELIVERED 4,856, PAID 68`."""
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common())


def look_ups(
    tally: Tally, settings: Settings, text: AlertText, table: Lifecycle
) -> Iterator[tuple[str, str, str | None]]:
    """For each tier: its name, the answer in words, and the order id (None where no order fits)."""
    for tier in AGES_MS:
        answer = answered_by(tier, tally, settings)
        if answer is None:
            yield tier, f"  no order of this run is in the {tier} tier and in no hotter one", None
        else:
            yield tier, text_of(answer, text, table), answer.found.document.order_id


def answered_by(tier: str, tally: Tally, settings: Settings) -> Answer | None:
    """Look-up of an order that is answered by this tier."""
    for order in candidates(tier, tally)[:MAX_TRIES]:
        try:
            answer = look_up(settings, order.tenant, order.order_id)
        except (Busy, UnknownOrder):
            continue  # the next may be there
        if answer.tier == tier:
            return answer
    return None


def candidates(tier: str, tally: Tally) -> list[OrderDocument]:
    """Orders of the right age, those with the most content first."""
    least_ms, most_ms = AGES_MS[tier]
    clock_at = tally.clock_at or 0
    fitting = [
        order
        for order in tally.orders.values()
        if order.updated_at and least_ms <= clock_at - parse_instant(order.updated_at) <= most_ms
    ]
    return sorted(
        fitting,
        key=lambda o: (-len(o.open_alerts), -len(o.milestones), -o.version, o.order_id),
    )


def next_commands(settings_file: Path, order_id: str) -> str:
    """Commands to try after the demo, for the shell it was started from."""
    ordertide = program()
    return "\n".join(
        [
            "Try next:",
            f"  {ordertide} lookup {order_id} --settings {settings_file}",
            f"  {ordertide} example olist > events.ndjson",
            f"  {ordertide} replay events.ndjson --until 2018-12-31T00:00:00-03:00 --out results",
            f"  {ordertide} list",
            "README.md shows how to point it at real servers.",
        ]
    )


def program() -> str:
    """Command of this shell for ordertide."""
    started = Path(sys.argv[0])
    if started.name != "ordertide":
        return f"python {started}"
    return "ordertide" if shutil.which("ordertide") else str(started)
