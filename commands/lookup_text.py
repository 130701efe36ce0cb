"""An order that was looked up, as text."""

from collections.abc import Iterator, Sequence

import msgspec

from commands.wiring.wording import open_since, shown, shown_ms
from dataflows.core.lifecycle import Lifecycle
from schemas.alert_text import AlertText
from schemas.display import printable
from schemas.explanation import RuleState, sentence
from schemas.order import AcceptedEvent, OrderDocument
from schemas.versions import changes_of, generation_of
from storage_tiering.find import Answer, Asked
from storage_tiering.tier import Found


class Sent(msgspec.Struct, frozen=True):
    """Fields of a stored event for the timeline."""

    status_code: str = ""
    dropped_fields: list[str] | None = None
    text: object = None  # of a note


SENT = msgspec.json.Decoder(Sent)
ASKED = {"found": "found", "unknown": "missing", "busy": "unavailable", "stale": "stale"}


def text_of(
    answer: Answer, text: AlertText, table: Lifecycle, flow_generation: int | None = None
) -> str:
    """Which tier answered and how fresh it is, state, timeline, deadlines and alerts. UTC.

    `flow_generation` is that of the flow's state, None where it isn't known.
    """
    order = answer.found.document
    lines = [
        headline(order, table),
        f"  answered by  {answer.tier} ({asked_text(answer.asked)})",
        freshness(answer.found),
        *older_generation(order, flow_generation),
        *facts(order),
        "  timeline",
        *timeline_lines(answer.found.timeline),
        *deadline_lines(order, text),
        *alert_lines(order, text),
    ]
    return "\n".join(lines)


def freshness(found: Found) -> str:
    """Instant up to which the answer is complete, or the reason why it isn't known."""
    if found.stale:
        return f"  NOT FRESH    it may be outdated or incomplete: {found.stale}"
    return f"  fresh up to  {shown_ms(found.watermark)} of the stream"


def older_generation(order: OrderDocument, flow_generation: int | None) -> Iterator[str]:
    """A warning where the state has been recreated since, and hasn't published the order."""
    generation = generation_of(order.version)
    if flow_generation is not None and generation < flow_generation:
        yield (
            f"  OLDER STATE  it is of generation {generation}, the flow was recreated as "
            f"generation {flow_generation}: events since then are missing, alerts have ended"
        )


def headline(order: OrderDocument, table: Lifecycle) -> str:
    """Order, status, lane."""
    status = "no status yet: it was never created (embryo)"
    if order.status:
        row = table.rows[table.index[order.status]] if order.status in table.index else None
        status = f"{order.status} ({row.label['en']}, {row.label['zh']})" if row else order.status
    head = f"order {printable(order.order_id)}: {printable(status)}"
    return f"{head}, lane {order.lane}, {version_text(order.version)}"


def version_text(version: int) -> str:
    """`version 3`, and the generation where the state was ever recreated."""
    text = f"version {changes_of(version)}"
    generation = generation_of(version)
    return f"{text} of generation {generation}" if generation else text


def asked_text(asked: Sequence[Asked]) -> str:
    """`hot: missing, warm: found`."""
    return ", ".join(f"{each.tier}: {ASKED[each.answer]}" for each in asked)


def facts(order: OrderDocument) -> Iterator[str]:
    """Further fields that are set."""
    if order.promised_at:
        yield f"  promised     {shown(order.promised_at)}"
    if order.flags:
        yield f"  flags        {printable(', '.join(order.flags))}"
    for parcel in order.shipments:
        if parcel.shipment:
            carrier = f" with {printable(parcel.carrier)}" if parcel.carrier else ""
            status = printable(parcel.status or "no status yet")
            yield f"  parcel       {printable(parcel.shipment)}{carrier}: {status}"


def timeline_lines(events: Sequence[AcceptedEvent]) -> Iterator[str]:
    """An event a line; another one for what was left out of it."""
    for event in events:
        sent = sent_of(event)
        parcel = f"  {printable(event.shipment)}" if event.shipment else ""
        is_known = sent.status_code in {"", event.status}
        code = "" if is_known else f" (sent as {sent.status_code!r})"
        note = f"  {printable(sent.text)}" if isinstance(sent.text, str) else ""
        yield f"    {shown(event.at)}  {printable(event.status)}{printable(code)}{parcel}{note}"
        if sent.dropped_fields:
            yield f"      left out, unusable: {printable(', '.join(sent.dropped_fields))}"


def sent_of(event: AcceptedEvent) -> Sent:
    """Text of its sender, as far as the timeline shows it."""
    return SENT.decode(event.event)


def deadline_lines(order: OrderDocument, text: AlertText) -> Iterator[str]:
    """The deadlines that are running."""
    for deadline in order.deadlines:
        label = text.rule(deadline.rule)
        yield f"  deadline     {shown(deadline.due_at)}  {deadline.severity}: {label}"


def alert_lines(order: OrderDocument, text: AlertText) -> Iterator[str]:
    """The alerts that are open, with their evidence."""
    for alert in order.open_alerts:
        yield f"  open alert   {alert.severity}: {text.summary(order, alert)}"
        yield f"               {text.description(order, alert)}"
        yield (
            f"               {open_since(alert)}, "
            f"evidence: event {printable(alert.because.anchor_event)}"
        )


def rule_lines(states: Sequence[RuleState], text: AlertText) -> Iterator[str]:
    """The state of every rule, those that are watched first."""
    for state in sorted(states, key=lambda state: not state.is_watched):
        yield f"  rule         {sentence(state, text)}"
