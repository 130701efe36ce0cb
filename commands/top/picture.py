"""Parts of the picture of the live orders, for `top` and the demo."""

from collections import Counter
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from broker.group_lags import GroupLag
from commands.top.monitor import Sample, Trend
from commands.wiring.wording import shown, shown_ms
from gateway.live.view import Row
from schemas.alert_text import AlertText
from schemas.display import printable

COLOURS = {"overdue": "red", "warning": "yellow", "normal": "green"}
MINUTE_S = 60.0
MOST_COUNTS = 8


def lanes_text(lanes: Counter[str], trend: Trend | None = None) -> Text:
    """Live orders by lane, with the change of each."""
    text = Text(f"live orders {sum(lanes.values()):,} ")
    for lane, colour in COLOURS.items():
        text.append(f" {lane} {lanes[lane]:,} ", style=f"{colour} reverse")
        change = trend.lanes.get(lane, 0) if trend else 0
        text.append(f" {change:+,} " if change else " ", style="dim")
    if trend and trend.since_s >= 1:
        text.append(f"in {span(trend.since_s)}", style="dim")
    return text


def span(seconds: float) -> str:
    """`45 s`, `10 min`."""
    if seconds < MINUTE_S:
        return f"{seconds:.0f} s"
    return f"{seconds / MINUTE_S:.0f} min"


def clock_text(sample: Sample) -> str:
    """The stream's time, how far it is behind, and how fast events come."""
    clock = f"stream time {shown_ms(sample.watermark)}"
    if sample.behind_s is not None:
        clock += f" ({span(max(0.0, sample.behind_s))} behind now)"
    return f"{clock}   {sample.per_second:,.0f} events/s"


def alert_cells(text: AlertText, row: Row) -> tuple[Text, ...]:
    """The cells of an alert: since when, rule, order, status, carrier."""
    card, alert = row.card, row.alert
    return (
        Text(shown(row.since_at)),
        Text(text.rule(alert.rule), style=COLOURS[alert.severity]),
        Text(printable(card.order_id)),
        Text(printable(card.status or "-")),
        Text(printable(card.carrier or "-")),
    )


def newest_text(text: AlertText, rows: Sequence[Row]) -> Text:
    """Alerts, the description of each on a line of its own, cut to the width."""
    lines = Text(no_wrap=True, overflow="ellipsis")
    for row in rows:
        summary = Text(text.summary(row.card, row.alert), style=COLOURS[row.alert.severity])
        lines.append_text(Text.assemble(shown(row.since_at), "  ", summary, "\n"))
        lines.append(f"    {text.description(row.card, row.alert)}\n", style="dim")
    return lines


def counts_table(title: str, counts: Counter[str], nothing: str) -> Table:
    """The largest counts, then the sum of the others."""
    table = Table(box=None, show_header=True, padding=(0, 1))
    table.add_column(title, no_wrap=True, overflow="ellipsis")
    table.add_column("orders", justify="right", no_wrap=True)
    largest = counts.most_common(MOST_COUNTS)
    for name, count in largest:
        table.add_row(Text(printable(name) or nothing), f"{count:,}")
    rest = sum(counts.values()) - sum(count for _, count in largest)
    if rest:
        table.add_row(Text(f"{len(counts) - len(largest):,} others", style="dim"), f"{rest:,}")
    return table


def lags_table(lags: dict[str, GroupLag | None]) -> Table:
    """Messages that each process has still to read."""
    table = Table(box=None, show_header=True, padding=(0, 1))
    table.add_column("process", no_wrap=True)
    table.add_column("messages behind", justify="right", no_wrap=True)
    for name, lag in lags.items():
        table.add_row(name, "unknown" if lag is None else f"{lag.behind:,}")
    return table


def plain_text(sample: Sample, text: AlertText, most_alerts: int) -> str:
    """Everything as lines, for a pipe."""
    lags = ", ".join(
        f"{name} {'unknown' if lag is None else f'{lag.behind:,}'}"
        for name, lag in sample.lags.items()
    )
    lines = [
        clock_text(sample),
        lanes_text(sample.lanes, sample.trend).plain.strip(),
        f"statuses     {listed(sample.statuses, 'EMBRYO')}",
        f"carriers     {listed(sample.carriers, 'none')}",
        f"behind       {lags} (messages)",
    ]
    if sample.note:
        lines.append(f"note         {printable(sample.note)}")
    for row in sample.rows[:most_alerts]:
        summary = text.summary(row.card, row.alert)
        description = text.description(row.card, row.alert)
        since = shown(row.since_at)
        lines.append(f"{row.alert.severity:<8} {since}  {summary}. {description}")
    return "\n".join(lines)


def listed(counts: Counter[str], nothing: str) -> str:
    """`SHIPPED 201, PAID 12`."""
    found = (f"{printable(name) or nothing} {count:,}" for name, count in counts.most_common())
    return ", ".join(found) or "-"
