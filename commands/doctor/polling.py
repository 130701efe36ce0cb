"""The doctor on polling: accounts with their credentials, whether they answer, and rate left."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from commands.doctor.findings import CheckContext, Finding, ok, problem, warning
from commands.doctor.http import HttpTarget, Unanswered
from commands.poll.accounts import Account, open_accounts, setting_of
from commands.poll.command import MEMORY
from commands.wiring.process import now_ms
from dataflows.carriers.polling import PROMISED_MS
from schemas.errors import SettingsError
from schemas.instants import HOUR_MS

FULL = 0.8  # of a rate, from which on there is little left
QUIET_MS = 5 * HOUR_MS  # more than the longest usual interval: nobody polls
ASKED = "SELECT count(*) FILTER (WHERE asked_at > ?), max(asked_at) FROM asked WHERE account = ?"


def check(context: CheckContext) -> Iterator[Finding]:
    """The accounts of the settings, each at its carrier and in this host's memory."""
    settings = context.settings.poll
    try:
        accounts = open_accounts(settings)
    except SettingsError as error:
        yield problem("accounts", str(error), "correct the account, or set its secret")
        return
    if not accounts:
        yield ok("accounts", "none: no carrier is polled")
    memory = Path(settings.folder) / MEMORY
    for account in accounts:
        with closing(account):
            yield reachable(account, context.timeout_s)
            yield rate_left(account, memory)


def reachable(account: Account, timeout_s: float) -> Finding:
    """Finding on the carrier's server, which is asked for no parcel: each would count."""
    if not account.url:
        return ok(account.name, "credentials are set; its address is the connector's own")
    target = HttpTarget(account.url, setting_of(account.name, "url"), timeout_s)
    try:
        target.get("")
    except Unanswered as error:
        if not error.status:
            return error.finding
    return ok(account.name, f"credentials are set; {target.shown} answers")


def rate_left(account: Account, memory: Path) -> Finding:
    """Finding on what the parcels of the last half hour need of the account's rate."""
    if not memory.exists():
        return ok(account.name, f"{memory} is missing: 'ordertide poll' has not run on this host")
    now = now_ms()
    try:
        with closing(sqlite3.connect(f"file:{quote(str(memory))}?mode=ro", uri=True)) as database:
            values = (now - PROMISED_MS, account.name)
            ((parcels, last_at),) = database.execute(ASKED, values).fetchall()
    except sqlite3.DatabaseError as error:
        remedy = "move the file away: parcels are then asked for once more, over their intervals"
        return problem(account.name, f"{memory}: {error}", remedy)
    if last_at and now - last_at > QUIET_MS:
        return warning(
            account.name,
            f"last answer {(now - last_at) / HOUR_MS:.1f} h ago",
            "start 'ordertide poll'; where it runs, its log and ordertide_polls_total have the "
            "reason",
        )
    needed = parcels * 1_000 / PROMISED_MS / account.poller.batch
    text = f"{parcels:,} parcels need {needed:.2f} of {account.plan.rate:g} requests/s"
    if needed > FULL * account.plan.rate:
        remedy = f"raise {setting_of(account.name, 'rate')} as far as the carrier allows"
        return warning(account.name, text, f"{remedy}, or news gets older than half an hour")
    return ok(account.name, text)
