"""`ordertide poll`: ask the carriers that don't push for the histories of live parcels."""

import threading
from contextlib import ExitStack, closing
from pathlib import Path

import click

from broker.confirm import ConfirmingProducer
from broker.lease import RunLease
from broker.reach import reach
from broker.topics import wait_for_topics
from commands.wiring.broker import connection_of
from commands.wiring.process import now_ms, stop_event
from commands.wiring.serving import announce, health_server, patience, start_logs
from commands.wiring.settings_file import settings_option
from dataflows.state.local.lock import ProcessLock
from schemas.errors import SettingsError
from schemas.private_files import private_folder
from schemas.settings.model import Settings, read_settings
from schemas.topics import EVENTS, LEASE, ORDERS_CHANGES
from telemetry.metrics import Metrics

MEMORY, LOCK = "asked.sqlite", "lock"
TOPICS = (ORDERS_CHANGES, EVENTS, LEASE.name)


@click.command("poll")
@settings_option()
def command(path: Path | None) -> None:
    """Ask carriers that don't push for the histories of live parcels, and write what is new.

    The accounts are those of [poll.carriers] in the settings. News of a parcel under way is at most
    30 minutes old while its carrier answers within the account's rate. Ends cleanly on SIGTERM and
    Ctrl-C; of several processes of a group one asks, the others wait.

    \b
    ordertide poll --settings ordertide.toml
    ORDERTIDE_POLL_CARRIERS_KUAIDI100_MAIN_SECRET_FILE=/run/secrets/k100 ordertide poll
    """
    settings = read_settings(path)
    start_logs(settings.telemetry)
    poll(settings, stop_event())


def poll(settings: Settings, stop: threading.Event) -> None:
    """Ask until `stop` is set.

    Raises:
        OrdertideError: the settings, the memory, the lease or the broker can't be used.
    """
    from commands.poll.accounts import open_accounts
    from commands.poll.asked import AskedParcels
    from commands.poll.parcels import ParcelFollower
    from commands.poll.worker import PollParts, PollWorker

    accounts = open_accounts(settings.poll)
    if not accounts:
        raise SettingsError(
            "poll.carriers: no account to ask; write one, like [poll.carriers.kuaidi100.main]"
        )
    connection = connection_of(settings.broker)
    folder = Path(settings.poll.folder)
    private_folder(folder)
    metrics = Metrics("poll")
    with ExitStack() as stack:
        lock = ProcessLock(folder / LOCK, folder)
        stack.callback(lock.release)
        follower = ParcelFollower(connection)
        asked = stack.enter_context(closing(AskedParcels(folder / MEMORY, now_ms())))
        producer = stack.enter_context(closing(ConfirmingProducer(connection)))
        lease = RunLease(
            connection,
            settings.poll.group,
            instance=lock.name,
            stopping=stop.is_set,
            setting="poll.group",
        )
        parts = PollParts(
            accounts=accounts,
            changes=follower.changes,
            producer=producer,
            asked=asked,
            metrics=metrics,
            now_ms=now_ms,
            verify=lease.verify,
        )
        worker = PollWorker(parts, stop)
        worker.reason = f"not yet at the broker, {settings.broker.bootstrap}"
        checks = {"polling": worker.is_polling, "live parcels": follower.is_following}
        server = health_server(metrics, checks, settings.telemetry, "poll")
        stack.callback(server.close)
        server.start()
        if not connection.embedded:
            reach(connection)
        if not wait_for_topics(connection, TOPICS, patience(stop, lambda _: None)):
            return
        stack.enter_context(lease)
        stack.callback(follower.close)
        follower.start()
        names = ", ".join(account.name for account in accounts)
        announce("poll", server, f"accounts: {names}", f"memory in {folder}")
        worker.run()
