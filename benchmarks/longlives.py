"""`python -m benchmarks longlives`: a month of orders as virtual time; does anything grow for ever?

python -m benchmarks longlives                            30 days of 1,000 orders: 1:1000
python -m benchmarks longlives --days 90 --orders-per-day 500
python -m benchmarks longlives --out docs/benchmarks.md   update its section and the plot beside it

The real `ordertide track`, recorded clock, embedded broker. Lives are shortened to half a day on
average, an order retires 2 days after its last event (shipped: 30 or 60) and a number is forgotten
after 7 days (180): so all that is to become flat does so well within the month. Every day some of
those retired are recalled from the retired-order table by a return and a refund.
"""

import re
from collections import Counter
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import click

from benchmarks.changes_tail import ChangesTail, Topic
from benchmarks.recording import Feeder, Line, Recording, record
from benchmarks.report import Section, machine, put_sections, table, verdict
from benchmarks.scenario_installation import Kind, ScenarioInstallation, scenario_installation
from benchmarks.svg_plot import Curve, Panel, plot
from commands.state.files import open_files
from commands.state.inspect import inspect
from loadgen.plan import Shares, messages_per_order
from schemas.instants import DAY_MS, format_instant

SEED = 20_161_004
DAY_S = DAY_MS / 1000
RETIRE, FORGET = "2d", "7d"
FLAT_FROM = 10  # the day from which on nothing is to grow but the retired-order table
GROWTH = 1.15  # more than that from then to the end isn't flat
RECALLS_A_DAY = 10
PLOT = "longlives.svg"
FATES = {
    "applied_total": "events_applied",
    "duplicates_total": "events_duplicate",
    "refused_total": "events_refused",
    "waiting": "events_waiting",
}


class Month(NamedTuple):
    """`days` of `orders_per_day`."""

    days: int
    orders_per_day: int
    seed: int


class Day(NamedTuple):
    """State at the end of a day; the columns of the table, in their order."""

    events: int
    live: int
    retired: int
    numbers: int
    state_mb: float
    resident_mib: float
    documents: int
    tombstones: int
    recalled: int


HEADS = [
    "day",
    "events in it",
    "live orders",
    "retired orders",
    "numbers known",
    "state MB",
    "resident MiB",
    "orders on orders.changes",
    "tombstones in it",
    "recalled in it",
]


def measure(kind: Kind, month: Month) -> tuple[Section, str]:
    """Play it; the section and the plot."""
    said = machine(month.seed)
    lifecycle = {"clock": "recorded", "lifecycle": "lifecycle.toml"}
    with scenario_installation(kind, lifecycle) as installation:
        (installation.folder / "lifecycle.toml").write_text(hurried(), "utf-8")
        recording = recorded(installation, month)
        days, topic, fates = play(installation, recording, month)
    problems = [*topic.problems, *differences(recording.expected, topic, fates)]
    head = (
        f"{said}\n\n{kind} broker; {month.days} days of {month.orders_per_day:,} orders (1:"
        f"{1_000_000 / month.orders_per_day:,.0f} of a million); retired after {RETIRE}, numbers "
        f"forgotten after {FORGET}; {sum(day.events for day in days):,} events, "
        f"{topic.recalled_count:,} orders recalled."
    )
    section = Section("longlives", f"{head}\n\n{report(days, problems)}")
    return section, drawing(days)


def hurried() -> str:
    """The lifecycle that ships, but orders retire and numbers are forgotten sooner."""
    text = (files("dataflows") / "core" / "lifecycle.toml").read_text("utf-8")
    text = re.sub(r'(?m)^retire_after = ".*"', f'retire_after = "{RETIRE}"', text)
    keys = r'(?m)^(forget_numbers_after|forget_unused_numbers_after) = ".*"'
    return re.sub(keys, rf'\1 = "{FORGET}"', text)


def recorded(installation: ScenarioInstallation, month: Month) -> Recording:
    """The load. Half a day's orders live at a time: no wait is longer than a number is known."""
    rate = month.orders_per_day * messages_per_order(Shares()) / DAY_S
    return record(
        installation.folder,
        rate=rate,
        live_orders=month.orders_per_day // 2,
        duration=f"{month.days}d",
        tick_every="1d",
        seed=month.seed,
    )


def play(
    installation: ScenarioInstallation, recording: Recording, month: Month
) -> tuple[list[Day], Topic, dict[str, float]]:
    """Run day by day; return the end of each, the topic, and the counters."""
    feeder, tail = Feeder(installation), ChangesTail(installation.connection)
    installation.start_track()
    days: list[Day] = []
    lines = recording.lines()
    pending: list[Line] = []
    for day in range(month.days + 1):  # day 0 is the history of what lives at the start
        end_at = recording.start_at + day * DAY_MS
        recalled = recalls(tail.topic, end_at) if day < month.days else []
        pending, today = until(lines, pending, end_at if day < month.days else None)
        sent = feeder.feed([*today, *recalled])
        feeder.tick(end_at)
        installation.settle(end_at)
        tail.read_all()
        days.append(day_of(installation, sent, tail, len(recalled) // 2))
    metrics = installation.metrics()
    fates = {name: metrics.get(f"ordertide_{name}", 0.0) for name in FATES}
    installation.stop_track()
    feeder.close()
    tail.close()
    return days, tail.topic, fates


def until(lines: Any, pending: list[Line], end_at: int | None) -> tuple[list[Line], list[Line]]:  # noqa: ANN401 - an iterator of lines
    """(the first line of the next day, today's lines); None: all there are."""
    today = list(pending)
    for line in lines:
        if end_at is not None and line.at is not None and line.at >= end_at:
            return [line], today
        today.append(line)
    return [], today


def recalls(topic: Topic, end_at: int) -> list[Line]:
    """Events of the day's end, two for each of some orders that have retired."""
    found = []
    for key in topic.to_recall(RECALLS_A_DAY):
        for number, code in enumerate(("RETURN_REQUESTED", "REFUNDED")):
            at = end_at - 10 + number
            said = (
                f'{{"event_id":"{key}-{code}","source":"returns","order_id":"{key}",'
                f'"status_code":"{code}","timestamp":"{format_instant(at)}",'
                f'"recorded_at":"{format_instant(at)}"}}'
            )
            found.append(Line(at, key.encode(), said.encode()))
    return found


def day_of(installation: ScenarioInstallation, sent: int, tail: ChangesTail, recalled: int) -> Day:
    """Sample the store and the topic."""
    with open_files(installation.settings, None) as opened:
        view = inspect(opened, is_quick=False)
    return Day(
        sent,
        view.live or 0,
        view.retired,
        view.numbers or 0,
        view.size_bytes / 1e6,
        installation.resident_bytes() / 2**20,
        len(tail.topic.alive),
        tail.tombstones_since(),
        recalled,
    )


def differences(expected: dict[str, Any], topic: Topic, fates: dict[str, float]) -> list[str]:
    """Differences from the load's expectation, the recalled orders taken into account."""
    wanted = Counter(expected["orders_by_status"])
    wanted["COMPLETED"] -= topic.recalled_count
    wanted["REFUNDED"] += topic.recalled_count
    found = Counter(topic.statuses.values())
    problems = [
        f"{status}: expected {wanted[status]:,} orders, found {found[status]:,}"
        for status in sorted({*wanted, *found})
        if wanted[status] != found[status]
    ]
    extra = {"events_applied": 2 * topic.recalled_count}
    return problems + [
        f"{fate}: expected {expected[fate] + extra.get(fate, 0):,}, found {fates[name]:,.0f}"
        for name, fate in FATES.items()
        if fates[name] != expected[fate] + extra.get(fate, 0)
    ]


def report(days: list[Day], problems: list[str]) -> str:
    """The tables."""
    rows = [
        [
            str(number),
            *(f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" for value in day),
        ]
        for number, day in enumerate(days)
    ]
    shown = [row for number, row in enumerate(rows) if number < 10 or number % 5 == 0]
    checked = (
        "Compared with the load's expectation (orders by status, events applied, duplicate, "
        "refused, waiting), and every recalled order with its milestones before it retired: "
    )
    return "\n\n".join(
        [table(HEADS, shown), flatness(days), f"{checked}{'; '.join(problems) or 'equal'}."]
    )


def flatness(days: list[Day]) -> str:
    """Growth of each figure once it should be flat."""
    from_day = min(FLAT_FROM, len(days) // 2)
    first, last = days[from_day], days[-1]
    rows = []
    for name in ("live", "numbers", "documents", "resident_mib"):
        times = getattr(last, name) / max(getattr(first, name), 1)
        rows.append([name.replace("_mib", " MiB"), f"{times:.2f}", verdict(is_met=times < GROWTH)])
    return table(
        [f"day {len(days) - 1} against day {from_day}", "times", f"flat: under {GROWTH}"], rows
    )


def drawing(days: list[Day]) -> str:
    """The plot."""
    columns = {name: [getattr(day, name) for day in days] for name in Day._fields}
    return plot(
        [
            Panel(
                "orders",
                [Curve("live", columns["live"]), Curve("on orders.changes", columns["documents"])],
            ),
            Panel("numbers known", [Curve("numbers", columns["numbers"])]),
            Panel("retired orders", [Curve("retired", columns["retired"])]),
            Panel(
                "size",
                [
                    Curve("state file, MB", columns["state_mb"]),
                    Curve("resident, MiB", columns["resident_mib"]),
                ],
            ),
        ]
    )


@click.command()
@click.option("--days", type=click.IntRange(2), default=30, show_default=True)
@click.option("--orders-per-day", type=click.IntRange(100), default=1_000, show_default=True)
@click.option("--broker", type=click.Choice(["embedded", "kafka"]), default="embedded")
@click.option("--quick", is_flag=True, help="a smoke run of seconds; its figures mean nothing")
@click.option("--seed", default=SEED, show_default=True)
@click.option("--out", type=click.Path(path_type=Path, exists=True), help="update its section")
def longlives(
    *, days: int, orders_per_day: int, broker: Kind, quick: bool, seed: int, out: Path | None
) -> None:
    """Let a month go by: retirement, recalls, forgotten numbers, tombstones, sizes."""
    month = Month(days, orders_per_day, seed)
    if quick:
        broker, month = "embedded", Month(5, 100, seed)
    section, svg = measure(broker, month)
    click.echo(f"## {section.name}\n\n{section.text}\n")
    if out:
        put_sections(out, [section])
        out.with_name(PLOT).write_text(svg, "utf-8")
