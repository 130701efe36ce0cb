"""`ordertide act`: do what orders.actions requests; list and replay what can't be done."""

from contextlib import closing
from pathlib import Path

import click
import msgspec

from commands.wiring.groups import Group
from commands.wiring.process import now_ms, stop_event
from commands.wiring.serving import start_logs
from commands.wiring.settings_file import settings_option
from commands.wiring.wording import shown_ms
from schemas.display import printable
from schemas.settings.model import read_settings
from telemetry.screen import Column, show, show_json, show_table

COLUMNS = [
    Column("action", min_width=32),
    Column("kind"),
    Column("order"),
    Column("receiver"),
    Column("attempts", is_number=True),
    Column("ended"),
    Column("reason"),
]


@click.group("act", cls=Group, invoke_without_command=True)
@settings_option()
@click.pass_context
def command(context: click.Context, path: Path | None) -> None:
    """Do what orders.actions requests: each action once, at its receiver in actions.toml.

    Its outcome becomes a NOTE of the order and an audit entry. Ends cleanly on SIGTERM and Ctrl-C;
    of several processes of a group one acts, the others wait.

    \b
    ordertide act --settings ordertide.toml
    ordertide act dead list
    """
    if context.invoked_subcommand is not None:
        return
    from commands.act.worker import act

    settings = read_settings(path)
    start_logs(settings.telemetry)
    act(settings, stop_event())


@command.group("dead", cls=Group)
def dead() -> None:
    """List and replay dead actions: refused by their receiver, or given up after three days."""


@dead.command("list")
@click.option("--receiver", help="of this receiver only")
@click.option("--json", "as_json", is_flag=True, help="as one JSON document")
@settings_option()
def list_dead(path: Path | None, receiver: str | None, *, as_json: bool) -> None:
    """List dead actions with the reason, the earliest first.

    \b
    ordertide act dead list --receiver desk
    """
    from commands.act.worker import existing_outbox
    from sinks.actions.attempt import ACTION

    with closing(existing_outbox(read_settings(path))) as outbox:
        found = [(task, ACTION.decode(task.value)) for task in outbox.dead(receiver)]
    if as_json:
        rows = [
            {
                "action": action,
                "receiver": task.receiver,
                "attempts": task.attempts,
                "reason": task.reason,
                "ended_at_ms": task.ended_at,
            }
            for task, action in found
        ]
        show_json(msgspec.json.encode(rows))
    elif not found:
        show("no dead actions")
    else:
        cells = [
            (
                *(task.action_id, action.kind, action.order_id, task.receiver),
                *(str(task.attempts), shown_ms(task.ended_at), task.reason),
            )
            for task, action in found
        ]
        show_table(COLUMNS, [tuple(map(printable, row)) for row in cells])


@dead.command("replay")
@click.argument("actions", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="every dead action")
@click.option("--receiver", help="with --all: of this receiver only")
@settings_option()
def replay_dead(
    path: Path | None, actions: tuple[str, ...], receiver: str | None, *, is_all: bool
) -> None:
    """Send dead ACTIONS again, under the same idempotency keys, or all of them.

    The worker may run meanwhile. An action that has expired ends as expired, and isn't sent.

    \b
    ordertide act dead replay 0f3c5a4b9d2e41f7a8b6c5d4e3f2a190
    ordertide act dead replay --all --receiver desk
    """
    from commands.act.worker import existing_outbox

    if bool(actions) == is_all:
        raise click.UsageError("name the actions to replay, or --all; not both")
    if receiver and not is_all:
        raise click.UsageError("--receiver belongs to --all")
    with closing(existing_outbox(read_settings(path))) as outbox:
        chosen = [task.action_id for task in outbox.dead(receiver)] if is_all else list(actions)
        with outbox.transaction():
            count = outbox.replay(chosen, now_ms())
    show(f"{count} of {len(chosen)} wait to be sent again")
    if count < len(chosen):
        raise SystemExit(1)
