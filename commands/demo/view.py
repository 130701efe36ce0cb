"""The demo on the screen: a live view on a terminal, a line now and then elsewhere."""

import time
from types import TracebackType
from typing import Self

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from commands.demo.topic_counter import TopicCounter
from commands.top.picture import COLOURS, lanes_text, newest_text
from commands.wiring.wording import shown_ms
from schemas.alert_text import AlertText

LINE_EVERY_S = 5.0
BAR_WIDTH = 76


class Progress(msgspec.Struct, frozen=True):
    """Progress of the demo: messages consumed of a total (None: without end)."""

    title: str
    done: int
    total: int | None
    per_second: float
    behind: int


class View:
    """Shows progress and counts; `show` may be called as often as one likes."""

    def __init__(self, console: Console, text: AlertText) -> None:
        self.console = console
        self.text = text
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._line_s = 0.0

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self, progress: Progress, counter: TopicCounter) -> None:
        """Show the present state."""
        if self._live:
            self._live.update(self._picture(progress, counter), refresh=True)
        elif time.monotonic() - self._line_s >= LINE_EVERY_S:
            self._line_s = time.monotonic()
            line = plain_line(progress, counter)
            self.console.print(line, markup=False, soft_wrap=True, highlight=False)

    def _picture(self, progress: Progress, counter: TopicCounter) -> Group:
        bar = Table.grid()  # a bar by itself ends no line
        bar.add_row(
            ProgressBar(
                total=progress.total or 1,
                completed=progress.done,
                pulse=progress.total is None,
                width=BAR_WIDTH,
            )
        )
        return Group(
            Text(f"\nordertide demo: {progress.title}", style="bold"),
            bar,
            Text(figures(progress, counter), style="dim"),
            lanes_text(counter.lanes()),
            newest_text(self.text, counter.newest()),
        )


def figures(progress: Progress, counter: TopicCounter) -> str:
    """The stream's clock, how fast it goes, how far behind the tiers are."""
    total = f" of {progress.total:,}" if progress.total else ""
    return (
        f"stream clock {shown_ms(counter.clock_at)}   {progress.done:,}{total} messages   "
        f"{progress.per_second:,.0f}/s   tiers behind by {progress.behind:,}"
    )


def plain_line(progress: Progress, counter: TopicCounter) -> str:
    """The same without a terminal."""
    counts = counter.lanes()
    by_lane = ", ".join(f"{lane} {counts[lane]:,}" for lane in COLOURS)
    return f"{progress.title}: {figures(progress, counter)}   {by_lane}"
