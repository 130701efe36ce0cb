"""Explaining: the state of every rule for an order, from its events alone.

    explain(key, facts_of(timeline, Intake(table, rules)), table, rules, watermark)

Stateless: the events are evaluated as a shard does it, arrival by arrival, by rules that count as
in force since the first of them. So the states agree with the document of the order where no rule
has changed since (docs/semantics.md, Explanations).
"""

from collections.abc import Iterable, Sequence

from dataflows.core.fact import Fact
from dataflows.core.intake import Intake, Origin
from dataflows.core.lifecycle import Lifecycle
from dataflows.core.questions import question
from dataflows.core.rules import Rules
from dataflows.core.shard import definitions, encode
from schemas.errors import Rejected
from schemas.event import Event, decode_event
from schemas.explanation import STATES, RuleState
from schemas.instants import parse_instant
from schemas.order import AcceptedEvent


def explain(
    key: str, facts: Iterable[Fact], table: Lifecycle, rules: Rules, watermark: int
) -> list[RuleState]:
    """Return the state of every rule for the order `key` at `watermark` ms, in the rules' order.

    A rule for parcels has one state for each known parcel, or one in all where it doesn't look at
    the order. Facts that arrived after `watermark` are left out; without any there is no state.

    Raises:
        ValueError: the order can't be evaluated.
    """
    packed = encode(list(facts))
    return STATES.decode(definitions(table, rules).explain(key, packed, watermark))


def facts_of(timeline: Iterable[AcceptedEvent], intake: Intake) -> list[Fact]:
    """The facts of accepted events; those that the definitions in force refuse are left out."""
    found = []
    for accepted in timeline:
        data = bytes(accepted.event)
        arrival_at = parse_instant(accepted.arrival_at)
        origin = Origin(accepted.topic, accepted.partition, accepted.offset)
        try:
            event = decode_event(data)
            if not isinstance(event, Event):
                continue
            event = intake.without_placeholders(intake.without_unfit(event, data)[0])
            fact = intake.fact(event, accepted.order_id, data, arrival_at, origin)
        except Rejected:
            continue
        if event.order_id is None:
            question(event, fact)  # notes by which number it came
        found.append(fact)
    return found


def watermark_of(timeline: Sequence[AcceptedEvent], watermark: int | None) -> int:
    """The clock in ms that is proved: `watermark` of a tier, or the latest arrival."""
    arrivals = [parse_instant(accepted.arrival_at) for accepted in timeline]
    return max([watermark or 0, *arrivals])
