"""Rule panel of an order's page: which rules watch the order, when each fires, and why not yet.

Its states are those of `GET /v1/orders/{id}/explain`. They are computed from the events in all
tiers, the archive too, so the panel is opened by its link and not with every page.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gateway.board.wording import Words
from schemas.alert import Severity
from schemas.explanation import RuleState, state_text
from schemas.instants import parse_instant
from schemas.order import OrderDocument

UNDUE = 1 << 62  # sorts behind every deadline
OPEN = frozenset({"open", "flapping"})
Lanes = Mapping[tuple[str, str | None], Severity]  # of open alerts, by rule and parcel


class RuleRow(NamedTuple):
    """State of a rule for the order or one of its parcels, in words.

    `kind` is the lane of an open alert, `clock` for a deadline that runs, else "". `due` and
    `due_at` (ms; 0 for none) are of a deadline that runs.
    """

    kind: str
    rule: str
    rule_id: str
    parcel: str
    text: str
    due: str
    due_at: int


class RulePanel(NamedTuple):
    """States at `at`: of the rules that watch the order, the next due first, and of the others."""

    at: str
    watching: list[RuleRow]
    others: list[RuleRow]


def rule_panel(
    words: Words, at: int, states: Sequence[RuleState], order: OrderDocument, now: int
) -> RulePanel:
    """The panel of the states at `at` (ms of the stream); alerts have the lanes of the order's."""
    lanes = {(each.rule, each.because.shipment): each.severity for each in order.open_alerts}
    watching = sorted((each for each in states if each.is_watched), key=urgency)
    return RulePanel(
        at=words.stamp(at, now),
        watching=[rule_row(words, each, lanes, now) for each in watching],
        others=[rule_row(words, each, {}, now) for each in states if not each.is_watched],
    )


def urgency(state: RuleState) -> tuple[bool, int]:
    """Sequence of the rules that watch: open alerts, then deadlines, the next one first."""
    return state.state not in OPEN, parse_instant(state.due_at) if state.due_at else UNDUE


def rule_row(words: Words, state: RuleState, lanes: Lanes, now: int) -> RuleRow:
    """A state in words. An alert that has escalated since is in another lane than its rule's."""
    is_running = state.state == "armed" and state.due_at is not None
    due_at = parse_instant(state.due_at or "") if is_running else 0
    text = state_text(state, words.alerts, lambda instant: stamp(words, instant, now))
    kind = "clock" if is_running else ""
    if state.state in OPEN:
        kind = lanes.get((state.rule, state.shipment)) or state.severity or ""
    return RuleRow(
        kind=kind,
        rule=words.rule(state.rule),
        rule_id=state.rule,
        parcel=state.shipment or "",
        text=text[:1].upper() + text[1:],
        due=words.span(due_at - now) if due_at > now else "",
        due_at=due_at,
    )


def stamp(words: Words, instant: str, now: int) -> str:
    """An instant of a state as pages show it; "" for none."""
    return words.stamp(parse_instant(instant), now) if instant else ""
