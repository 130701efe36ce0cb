"""`ordertide audit`: past alerts, commands and actions, from the warm tier and the archive."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from commands.wiring.settings_file import note_settings, settings_option
from commands.wiring.tiers import written_tiers
from commands.wiring.wording import shown
from schemas.alert import Action, AuditEntry
from schemas.errors import Busy, OrdertideError, SettingsError, UnknownOrder
from schemas.instants import parse_instant
from schemas.keys import DEFAULT_TENANT
from schemas.outcomes import MOST_OUTCOMES, Outcome, OutcomeQuery, newest_first
from schemas.settings.model import Settings, read_settings
from storage_tiering.installed import lookup_tiers
from storage_tiering.tier import Outcomes
from telemetry.screen import Column, show_error, show_json, show_table

NOT_FOUND, NO_ANSWER = 1, 3  # exit codes
COLUMNS = [Column("time"), Column("order"), Column("what"), Column("by"), Column("about")]
DAY = len("2018-01-31")


@click.command("audit")
@click.argument("order", required=False)
@settings_option()
@click.option("--tenant", help="of one tenant only; with ORDER it is 'default' unless named")
@click.option("--operator", help="commands of an operator")
@click.option("--ip", help="commands from an address")
@click.option("--since", help="from this day or instant on, such as 2018-01-31 (UTC)")
@click.option("--until", help="before this day or instant")
@click.option("--actions", is_flag=True, help="the requested actions, as their receivers get them")
@click.option(
    "--limit", type=click.IntRange(1, MOST_OUTCOMES), default=100, show_default=True, help="at most"
)
@click.option("--json", "as_json", is_flag=True, help="a JSON document a line")
def command(
    order: str | None,
    path: Path | None,
    since: str | None,
    until: str | None,
    limit: int,
    *,
    actions: bool,
    as_json: bool,
    **fields: str | None,
) -> None:
    """Show past alerts, commands and actions of ORDER, or of an operator, address or time.

    They come from the warm tier and the archive (those of `tiers.lookup`), each once, the newest at
    the head. Without ORDER the archive reads all files of the time asked for, so narrow it.

    Exit code 1 if there are none; 3 if there are none and a tier gave no answer.

    \b
    ordertide audit SO-2018-1 --settings ordertide.toml
    ordertide audit --operator u-5 --since 2018-01-01 --until 2018-02-01
    ordertide audit SO-2018-1 --json | jq .what
    """
    if order and not fields["tenant"]:
        fields["tenant"] = DEFAULT_TENANT
    query = OutcomeQuery(
        kind="actions" if actions else "audit",
        order_id=order,
        since=instant_of(since, "--since"),
        until=instant_of(until, "--until"),
        **fields,
    )
    found, faults = outcomes_in(read_settings(path), query, limit)
    for fault in faults:
        note_settings(fault, click.get_current_context())
        show_error(fault)
    if not found:
        if not faults:
            show_error(UnknownOrder("no audit entry matches; check the order, or widen the time"))
        sys.exit(NO_ANSWER if faults else NOT_FOUND)
    if as_json:
        for outcome in found:
            show_json(msgspec.json.encode(outcome))
        return
    show_table(COLUMNS, [cells(outcome) for outcome in found])


def outcomes_in(
    settings: Settings, query: OutcomeQuery, limit: int
) -> tuple[list[Outcome], Sequence[OrdertideError]]:
    """(the latest that any tier has, the tiers' faults)."""
    found: list[Outcome] = []
    faults: list[OrdertideError] = []
    for name, tier in written_tiers(settings, lookup_tiers(settings)).items():
        try:
            if isinstance(tier, Outcomes):
                found += tier.outcomes(query, limit=limit)
        except OrdertideError as error:
            faults.append(Busy(f"{name}: {error}") if isinstance(error, Busy) else error)
        finally:
            tier.close()
    return newest_first(found)[:limit], faults


def instant_of(text: str | None, option: str) -> int | None:
    """The instant of a day or an instant.

    Raises:
        SettingsError: it is neither.
    """
    if text is None:
        return None
    try:
        return parse_instant(f"{text}T00:00:00Z" if len(text) == DAY else text)
    except ValueError as error:
        raise SettingsError(
            f"{option} {text!r}: {error}; write 2018-01-31 or 2018-01-31T08:00:00Z"
        ) from error


def cells(outcome: Outcome) -> tuple[str, ...]:
    """A row of the table."""
    if isinstance(outcome, Action):
        return shown(outcome.at), outcome.order_id, outcome.kind, "-", about_action(outcome)
    by = [outcome.operator, outcome.ip, outcome.source]
    named = ", ".join(dict.fromkeys(part for part in by if part)) or "-"
    return shown(outcome.at), outcome.order_id, outcome.what, named, about(outcome)


def about(entry: AuditEntry) -> str:
    """The subject of an entry."""
    if entry.action:
        return about_action(entry.action)
    if entry.alert:
        parcel = f", parcel {entry.alert.because.shipment}" if entry.alert.because.shipment else ""
        return f"{entry.alert.rule}, {entry.alert.severity}{parcel}"
    return ", ".join(f"{name} {value}" for name, value in entry.detail.items()) or "-"


def about_action(action: Action) -> str:
    """The request, and until when it holds."""
    return f"{action.kind} by {action.rule}, void after {shown(action.expires_at)}"
