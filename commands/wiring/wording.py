"""Alerts, labels and instants in words, for people at a terminal."""

from dataflows.core.lifecycle import Lifecycle
from dataflows.core.rules import Rules
from schemas.alert_text import AlertText, Language
from schemas.display import printable
from schemas.instants import format_instant
from schemas.order import OpenAlert


def shown(instant: str | None) -> str:
    """`2018-09-10T03:00:00.000Z` as `2018-09-10 03:00`; times are UTC throughout."""
    return printable(instant[:16].replace("T", " ")) if instant else "-"


def shown_ms(at: int | None) -> str:
    """As `shown`, of an instant in ms."""
    return shown(None if at is None else format_instant(at))


def alert_text(rules: Rules, table: Lifecycle, language: Language = "en") -> AlertText:
    """Sentences of alerts with the labels of these rules and of the statuses of `table`."""
    return AlertText(
        language,
        rules={rule.id: rule.row.label for rule in rules.rules},
        statuses={row.code: row.label for row in table.rows},
    )


def open_since(alert: OpenAlert) -> str:
    """`open since 2018-09-10 03:00`, and since when it is overdue if it has escalated."""
    since = f"open since {shown(alert.opened_at)}"
    return f"{since}, overdue since {shown(alert.escalated_at)}" if alert.escalated_at else since
