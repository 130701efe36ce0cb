"""`ordertide lookup`: one order, from whichever tier holds it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec

from commands.lookup_text import rule_lines, text_of
from commands.wiring.definitions import lifecycle_of, rules_of
from commands.wiring.settings_file import note_settings, settings_option
from commands.wiring.tiers import BUILT_IN, written_tiers
from commands.wiring.wording import alert_text
from dataflows.core.explaining import explain, facts_of, watermark_of
from dataflows.core.intake import Intake
from dataflows.core.lifecycle import Lifecycle
from dataflows.core.rules import Rules
from schemas.errors import Busy, OrdertideError, UnknownOrder
from schemas.explanation import RuleState
from schemas.keys import DEFAULT_TENANT, order_key
from schemas.order import AcceptedEvent
from schemas.settings.model import Settings, read_settings
from schemas.versions import generation_of
from storage_tiering.find import Answer, find, timeline
from storage_tiering.installed import lookup_tiers
from storage_tiering.tier import Tier
from telemetry.screen import show, show_error, show_json

NOT_FOUND, NO_ANSWER = 1, 3  # exit codes
HOT = BUILT_IN[0]
BROKER_TIMEOUT_S = 1.0  # a broker that runs answers within milliseconds


@click.command("lookup")
@click.argument("order")
@click.option("--tenant", default=DEFAULT_TENANT, show_default=True, help="whose order")
@settings_option()
@click.option("--explain", "explained", is_flag=True, help="with the state of every rule")
@click.option("--json", "as_json", is_flag=True, help="as one JSON document")
def command(order: str, tenant: str, path: Path | None, *, explained: bool, as_json: bool) -> None:
    """Find ORDER: in the hot tier, else the warm one, else the archive (as `tiers.lookup` says).

    Exit code 1 if all tiers answered and none has it; 3 if none that answered has it, and another
    gave no answer or can't be vouched for: then it may exist. 2 for faulty settings.

    \b
    ordertide lookup SO-2018-1 --settings ordertide.toml
    ordertide lookup SO-2018-1 --explain
    ordertide lookup SO-2018-1 --json | jq .order.status
    """
    settings = read_settings(path)
    try:
        with opened(settings, order) as tiers:
            answer = find(tiers, tenant, order)
            events = timeline(tiers, tenant, order) if explained else []
    except UnknownOrder as error:
        show_error(error)
        sys.exit(NOT_FOUND)
    except Busy as error:
        note_settings(error, click.get_current_context())
        show_error(error)
        sys.exit(NO_ANSWER)
    generation = flow_generation(settings, answer)
    if as_json and not explained:
        show_json(json_of(answer, generation))
        return
    table = lifecycle_of(settings)
    rules = rules_of(settings, table)
    states = rule_states(answer, events, table, rules) if explained else None
    if as_json:
        show_json(json_of(answer, generation, states))
        return
    text = alert_text(rules, table, settings.delivery.language)
    lines = [text_of(answer, text, table, generation), *rule_lines(states or [], text)]
    show("\n".join(lines))


def look_up(settings: Settings, tenant: str, order_id: str) -> Answer:
    """The order from the first tier that has it.

    Raises:
        UnknownOrder: no tier has it.
        Busy: some tier that might have it can't be reached, or none was written yet.
    """
    with opened(settings, order_id) as tiers:
        return find(tiers, tenant, order_id)


@contextmanager
def opened(settings: Settings, order_id: str) -> Iterator[list[Tier]]:
    """The tiers that are asked for an order, hottest first; closed at the end of the block.

    Raises:
        Busy: none was written yet.
    """
    names = lookup_tiers(settings)
    tiers = written_tiers(settings, names)
    if not tiers:
        raise Busy(
            f"order {order_id!r}: nothing was written to {', '.join(names)} yet, their folders are "
            "missing; start 'ordertide write' for them, or name the right settings file"
        )
    try:
        yield [*tiers.values()]
    finally:
        for tier in tiers.values():
            tier.close()


def rule_states(
    answer: Answer, events: list[AcceptedEvent], table: Lifecycle, rules: Rules
) -> list[RuleState]:
    """The state of every rule for the order, from its events in all tiers that answer."""
    order = answer.found.document
    facts = facts_of(events, Intake(table, rules))
    watermark = watermark_of(events, answer.found.watermark)
    return explain(order_key(order.tenant, order.order_id), facts, table, rules, watermark)


def flow_generation(settings: Settings, answer: Answer) -> int | None:
    """Generation of the flow's state, by its record in the broker; None where it isn't known.

    Not asked for an answer of the hot tier: there a tombstone of the newer generation has ended
    every older document. The tiers that keep retired orders still answer with them.
    """
    if answer.tier == HOT:
        return None
    # Here, since an answer of the hot tier does without the broker's client, which takes 55 ms.
    from broker.generations import recorded_generation
    from commands.wiring.broker import connection_of

    try:
        recorded = recorded_generation(
            connection_of(settings.broker), settings.track.group, BROKER_TIMEOUT_S
        )
    except OrdertideError:
        return None  # tiers answer without a broker
    return max(recorded, 0)


def json_of(
    answer: Answer, flow_generation: int | None = None, states: list[RuleState] | None = None
) -> bytes:
    """The answer as JSON: tier, asked, watermark, generations, order, timeline, states of rules."""
    found = answer.found
    explained = {} if states is None else {"rules": states}
    return msgspec.json.encode(
        {
            "tier": answer.tier,
            "asked": answer.asked,
            "watermark_ms": found.watermark,
            "generation": generation_of(found.document.version),
            "flow_generation": flow_generation,
            "stale": found.stale,
            "order": found.document,
            "timeline": found.timeline,
            **explained,
        }
    )
