"""The doctor on actions: table, receivers and templates; outbox and webhooks of this host."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from commands.act.subscriptions import deliveries_path
from commands.act.worker import outbox_path
from commands.doctor.findings import CheckContext, Finding, ok, problem, warning
from commands.wiring.definitions import actions_of
from commands.wiring.process import now_ms
from schemas.display import count_of
from schemas.errors import SettingsError
from schemas.instants import HOUR_MS, MINUTE_MS
from schemas.settings.model import Settings
from sinks.actions.channels.installed import channel_faults
from sinks.actions.messages.templates import read_templates
from sinks.actions.table import ActionTable

LATE_MS = 10 * MINUTE_MS  # what is due for so long is taken by no worker
DEAD = "SELECT receiver, count(*) FROM action WHERE state = 'dead' GROUP BY receiver"
DEAD_DELIVERIES = (
    "SELECT webhook, count(*) FROM delivery WHERE state = 'dead' GROUP BY webhook ORDER BY webhook"
)
WAITING = (
    "SELECT count(*), min(due_at) FROM action WHERE state IN ('waiting', 'failed') AND due_at <= ?"
)
LOST = "move the file away: deliveries that wait are lost, and the next start makes another"
REMEDY = "correct it; 'ordertide config check' lists every fault"


def check(context: CheckContext) -> Iterator[Finding]:
    """The table and the outbox."""
    settings = context.settings
    try:
        table = actions_of(settings)
        read_templates(table)
    except SettingsError as error:
        yield from (problem("table", line, REMEDY) for line in str(error).splitlines())
    else:
        yield from table_findings(table, settings)
    yield from outbox_findings(outbox_path(settings))
    yield from delivery_findings(deliveries_path(settings))


def table_findings(table: ActionTable, settings: Settings) -> Iterator[Finding]:
    """Receivers that can't be used, else their number; and the key file for messages."""
    faults = [*channel_faults(table, settings.act)]
    yield from (problem("receivers", fault, REMEDY) for fault in faults)
    if not faults:
        receivers, kinds = count_of(len(table.receivers), "receiver"), len(table.kinds)
        yield ok("table", f"{table.name}: {receivers} for {count_of(kinds, 'kind')}")
    has_messages = any(row.template for row in table.kinds.values())
    if has_messages and not Path(settings.privacy.keys).exists():
        yield warning(
            "keys",
            f"{settings.privacy.keys} is missing: messages to customers wait for it",
            "run 'ordertide act' on the host of 'ordertide track', or set [privacy] keys",
        )


def outbox_findings(path: Path) -> Iterator[Finding]:
    """Dead actions, and actions that no worker takes; the file is only read."""
    if not path.exists():
        yield ok("outbox", f"{path} is missing: 'ordertide act' has not run on this host")
        return
    now_at = now_ms()
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as database:
            dead = database.execute(DEAD).fetchall()
            (waiting, due_at), *_ = database.execute(WAITING, (now_at,)).fetchall()
    except sqlite3.DatabaseError as error:
        remedy = "move the file away, and the next 'ordertide act' rebuilds it from the topics"
        yield problem("outbox", f"{path}: {error}", remedy)
        return
    for receiver, count in dead:
        yield warning(
            "dead actions",
            f"{count} at {receiver}",
            "'ordertide act dead list' has the reasons; 'ordertide act dead replay --all' retries",
        )
    if waiting and now_at - due_at >= LATE_MS:
        yield warning(
            "waiting",
            f"{count_of(waiting, 'action')}, due since {(now_at - due_at) / HOUR_MS:.1f} h",
            "start 'ordertide act'; where it runs, its /readyz and its log have the reason",
        )
    if not dead and (not waiting or now_at - due_at < LATE_MS):
        yield ok("outbox", f"{path}: nothing dead, nothing overdue")


def delivery_findings(path: Path) -> Iterator[Finding]:
    """Dead deliveries to webhooks; the file is only read."""
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as database:
            dead = database.execute(DEAD_DELIVERIES).fetchall()
    except sqlite3.DatabaseError as error:
        yield problem("webhooks", f"{path}: {error}", LOST)
        return
    for webhook, count in dead:
        yield warning(
            "webhooks",
            f"{count} dead deliveries of {webhook}",
            f"'ordertide webhook deliveries {webhook} --state dead' has the reasons; 'ordertide "
            f"webhook replay {webhook}' sends them again",
        )
    if not dead:
        yield ok("webhooks", f"{path}: nothing dead")
