"""Explanations: the state of every rule for an order, and why it watches nothing."""

import msgspec

from dataflows.core.explaining import explain, facts_of, watermark_of
from dataflows.core.intake import Intake
from gateway.api.orders import OrderAsked, found
from gateway.parts import Gateway
from gateway.route import Call
from schemas.alert_text import Language
from schemas.explanation import RuleState, sentence
from schemas.instants import format_instant
from schemas.keys import order_key
from schemas.order import AcceptedEvent
from storage_tiering.find import timeline
from storage_tiering.tier import Found, Tier


class ExplanationAsked(OrderAsked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The order's `tenant`, and the language of the sentences."""

    lang: Language = "en"


class ExplainedRule(RuleState, frozen=True, kw_only=True):
    """State of a rule with its sentence; `watched`: its deadline runs or its alert is open."""

    watched: bool
    sentence: str


class ExplanationAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """States in the order of the rules file, by the rules in force, at the stream's time `at`."""

    at: str
    rules: list[ExplainedRule]


async def explanation(call: Call) -> ExplanationAnswer:
    """The state of every rule for an order and its parcels: due when, or why it isn't watched."""
    at, states = await states_of(call.gateway, (await found(call)).found)
    text = call.gateway.wording[call.asked.lang]
    rules = [
        ExplainedRule(
            **msgspec.structs.asdict(state),
            watched=state.is_watched,
            sentence=sentence(state, text),
        )
        for state in states
    ]
    return ExplanationAnswer(at=format_instant(at), rules=rules)


async def states_of(gateway: Gateway, held: Found) -> tuple[int, list[RuleState]]:
    """(stream time in ms, state of every rule then) for an order, by its events in all tiers."""
    order, intake = held.document, Intake(gateway.lifecycle, gateway.rules)

    def explained(tiers: list[Tier]) -> tuple[int, list[RuleState]]:
        events: list[AcceptedEvent] = timeline(tiers, order.tenant, order.order_id)
        at = watermark_of(events, held.watermark)
        key, facts = order_key(order.tenant, order.order_id), facts_of(events, intake)
        return at, explain(key, facts, gateway.lifecycle, gateway.rules, at)

    return await gateway.tiers.run(explained)
