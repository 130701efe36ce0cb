"""`ordertide demo`: the whole engine on sample orders, with nothing but what pip installed."""

import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
from rich.console import Console

from broker.connect import Connection
from broker.embedded import EmbeddedBroker
from commands.demo.acting import Desk, begin_now
from commands.demo.callback import new_account
from commands.demo.feed import SEED, has_olist, history, introduction, sizes
from commands.demo.feeder import Feeder
from commands.demo.polled import PolledCarrier
from commands.demo.results import DemoResults
from commands.demo.schedule import RECORDED, Schedule, live_from
from commands.demo.settings import FOLDER, fresh_folder, lock_folder, write_settings
from commands.demo.summary import look_ups, next_commands, program, summary
from commands.demo.telling import EXAMPLES, LATE, late_number
from commands.demo.topic_counter import TopicCounter
from commands.demo.view import Progress, View
from commands.wiring.process import now_ms, stop_event
from commands.wiring.tiers import BUILT_IN, writer_group
from commands.wiring.wording import alert_text
from dataflows.definition_files import read_lifecycle, read_rules
from deploy.installation import Installation, ProcessEnded
from schemas.display import printable_lines
from schemas.private_files import private_folder
from schemas.settings.model import Settings
from schemas.topics import TOPICS
from storage_tiering.hot.embedded import EmbeddedRedis

LINK = re.compile(r"^Board +(http\S+)$", re.MULTILINE)
LINK_WITHIN_S = 60.0
POLL_S = 0.05
PROGRAM = (sys.executable, "-m", "commands.demo.process")


@click.command("demo")
@click.option("--once", is_flag=True, help="end when the sample is through")
@click.option("--orders", type=click.IntRange(1), help="so many orders of the sample [all]")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=FOLDER,
    show_default=True,
    help="where it works; made afresh",
)
@click.option("--board/--no-board", default=True, help="serve the board; never with --once")
def command(orders: int | None, folder: Path, *, once: bool, board: bool) -> None:
    """Run everything on sample orders: broker, dataflow, the three tiers, the board.

    In a checkout the sample is 4,998 orders of a Brazilian shop (2016 to 2018), elsewhere as many
    generated ones. All times are shifted so that the last event is now; then generated orders keep
    coming, a minute of theirs a second, until Ctrl-C. A link to the board is printed first, and at
    the end of the sample a carrier's callback to be posted. With --once, times are the recorded
    ones.

    \b
    ordertide demo
    ordertide demo --once
    ordertide demo --no-board
    """
    stop = stop_event()
    console = Console()
    with ExitStack() as stack:
        stack.callback(lock_folder(folder).release)
        fresh_folder(folder)
        broker = stack.enter_context(EmbeddedBroker())
        redis = stack.enter_context(EmbeddedRedis())
        for topic in TOPICS:
            broker.create(topic.name)
        desk = None if once else stack.enter_context(Desk())
        carrier = None if once else stack.enter_context(PolledCarrier())
        path, settings = write_settings(
            folder,
            broker.bootstrap,
            redis.url,
            EXAMPLES,
            desk.table if desk else None,
            carrier.settings if carrier else None,
        )
        schedule = RECORDED if once else live_from(now_ms())
        with running(path, folder / "logs") as processes:
            demo = Demo(
                console,
                broker.connection,
                settings,
                path,
                processes,
                stop,
                schedule,
                desk=desk,
                carrier=carrier,
            )
            if board and not once:
                demo.show_board()
            demo.run(orders)
    if stop.is_set():
        console.print("stopped")


@contextmanager
def running(settings: Path, logs: Path) -> Iterator[Installation]:
    """The dataflow and a writer per tier, with a log each, until the end of the block.

    Each leads a session of its own: Ctrl-C in a terminal is for us, and we stop them.
    """
    private_folder(logs)
    processes = Installation(settings, logs, program=PROGRAM, is_leashed=True)
    try:
        processes.start("track")
        for tier in BUILT_IN:
            processes.start("write", tier)
        yield processes
    finally:
        processes.stop()


class Demo:
    """The demo while it runs."""

    def __init__(
        self,
        console: Console,
        connection: Connection,
        settings: Settings,
        path: Path,
        processes: Installation,
        stop: threading.Event,
        schedule: Schedule,
        *,
        desk: Desk | None,
        carrier: PolledCarrier | None,
    ) -> None:
        self.console = console
        self.connection = connection
        self.settings = settings
        self.path = path
        self.processes = processes
        self.stop = stop
        self.schedule = schedule
        self.desk = desk
        self.carrier = carrier
        self.origin = ""  # of the board, once it is served
        self.callback = ""  # the command that posts one
        self.table = read_lifecycle()
        self.text = alert_text(read_rules(None, self.table), self.table)

    def show_board(self) -> None:
        """Start the gateway, and print the link to its board.

        Raises:
            ProcessEnded: it ended, or printed no link in time.
        """
        account = new_account()
        serve = self.processes.start("serve", environment=account.environment)
        give_up_at_s = time.monotonic() + LINK_WITHIN_S
        while (link := LINK.search(serve.log_text())) is None:
            serve.check()
            if time.monotonic() > give_up_at_s:
                raise ProcessEnded(
                    f"serve printed no link within {LINK_WITHIN_S:g} s; the end of {serve.log}:\n"
                    f"{serve.log_tail()}"
                )
            time.sleep(POLL_S)
        self.show_line(f"Board  {link[1]}")
        self.show_line("       it works once, for 10 minutes; this prints another:")
        self.show_line(f"       {program()} key link --settings {self.path}")
        self.show_line("       its orders come with the sample, which takes a minute or two\n")
        self.origin = link[1].partition("/sign-in")[0]
        self.callback = account.command(self.origin, self.schedule.end_at)

    def run(self, orders: int | None) -> None:
        """Feed, show and sum up; a live schedule continues until stopped.

        Raises:
            ProcessEnded: one of the processes ended.
        """
        records = history(orders, self.schedule)
        *_, total = sizes(records)
        self.show_line(introduction(records, self.schedule))
        track = self.settings.track.group
        writers = [writer_group(tier) for tier in BUILT_IN]
        with DemoResults(self.connection, track, writers) as results:
            feeder = Feeder(self.connection, track, records, self.schedule, results)
            if self.carrier:
                feeder.is_kept = self.carrier.keep
            feeder.start()
            try:
                self.show_until("the sample", feeder, results, total)
                if not self.stop.is_set():
                    self.show_summary(results.counter)
                if self.desk:
                    begin_now(self.settings, self.connection)
                    self.processes.start("act", environment=self.desk.environment)
                if self.carrier:
                    self.processes.start("poll")
                if self.schedule.is_live:
                    feeder.go_live.set()
                    self.show_until(
                        "live, generated orders (Ctrl-C ends it)", feeder, results, None
                    )
            finally:
                feeder.stop()

    def show_until(
        self, title: str, feeder: Feeder, results: DemoResults, total: int | None
    ) -> None:
        """Show what happens, until `total` messages are in the tiers (None: until stopped)."""
        with View(self.console, self.text) as view:
            while not self.stop.is_set():
                feeder.check()
                self.processes.check()
                results.update()
                view.show(progress_of(title, results, total), results.counter)
                if total and feeder.history_done.is_set():
                    return

    def show_summary(self, counter: TopicCounter) -> None:
        """Print the results, and where they can be found."""
        self.show_line("\n" + summary(counter, self.text))
        example = ""
        for tier, text, order_id in look_ups(counter, self.settings, self.text, self.table):
            self.show_line(f"\nOne order from the {tier} tier:")
            self.show_line(text)
            example = order_id or example
        self.show_line("\n" + next_commands(self.path, example, has_olist=has_olist()))
        if self.callback:
            self.show_line(f"\nPost what its carrier would, and {LATE} leaves the red lane:")
            self.show_line(self.callback + "\n")
            self.show_line(
                f"Board  {self.origin} (signed in by the link at the top): type "
                f"{late_number(SEED)[-4:]} into its search,\n"
                "       the end of a waybill, and Enter: the order, and why it is late\n"
            )

    def show_line(self, text: str) -> None:
        """Print as it is."""
        text = printable_lines(text)
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


def progress_of(title: str, results: DemoResults, total: int | None) -> Progress:
    """Progress of a phase; the last few messages, which prove the end, are not counted."""
    done = min(results.consumed, total) if total else results.consumed
    return Progress(title, done, total, results.per_second, results.behind())
