"""`ordertide top`: the live orders of an installation on a terminal, or in a pipe."""

import sys
from pathlib import Path
from threading import Event

import click

from broker.reach import reach
from commands.top.monitor import Monitor
from commands.top.picture import plain_text
from commands.wiring.broker import connection_of
from commands.wiring.definitions import lifecycle_of, rules_of
from commands.wiring.process import stop_event
from commands.wiring.settings_file import settings_option
from commands.wiring.wording import alert_text
from schemas.alert_text import AlertText
from schemas.settings.model import read_settings
from telemetry.log import configure
from telemetry.screen import show

MOST_ALERTS = 20  # in a pipe
LOOK_S = 0.2


@click.command("top")
@settings_option()
@click.option("--once", is_flag=True, help="print once as text, when everything is read, and end")
@click.option(
    "--every",
    "every_s",
    type=click.FloatRange(min=0.1),
    default=5.0,
    show_default=True,
    help="seconds between two prints where the output is no terminal",
)
def command(path: Path | None, *, once: bool, every_s: float) -> None:
    """Show the live orders: lanes, newest alerts with their reason, statuses, carriers, lags.

    Keys: / filters by a word (an order, a status, a carrier, a rule), s sorts alerts by when they
    opened or by what is due first, space pauses, Enter opens an order, q ends. In a pipe it prints
    the same as text, again and again.

    \b
    ordertide top --settings ordertide.toml
    ordertide top --once | grep overdue
    """
    settings = read_settings(path)
    configure("ERROR", json=False)  # the screen says what is wrong
    connection = connection_of(settings.broker)
    reach(connection)
    table = lifecycle_of(settings)
    text = alert_text(rules_of(settings, table), table, settings.delivery.language)
    with Monitor(settings, connection) as monitor:
        if once or not sys.stdout.isatty():
            print_on(monitor, text, stop_event(), every_s, once=once)
            return
        # Here, since it takes 0.3 s that a pipe needn't wait for.
        from commands.top.app import Top

        Top(monitor, settings, table, text).run()


def print_on(
    monitor: Monitor, text: AlertText, stop: Event, every_s: float, *, once: bool = False
) -> None:
    """Print samples until stopped; the first one when everything is read."""
    while not stop.is_set():
        is_loaded = monitor.follower.is_loaded
        if is_loaded:
            monitor.look()
        sample = monitor.sample()  # raises where nothing is to be expected any more
        if is_loaded:
            show(plain_text(sample, text, MOST_ALERTS) + ("" if once else "\n"))
            if once:
                return
        stop.wait(every_s if is_loaded else LOOK_S)
