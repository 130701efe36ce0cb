"""`python -m benchmarks catchup`: the time to catch up after a stop, and the outcomes.

python -m benchmarks catchup                              a minute's backlog of 3,000 events/s
python -m benchmarks catchup --seconds 21600              the whole 6 hours: 65 million events
python -m benchmarks catchup --out docs/benchmarks.md     update its section

The events are recorded ones (`clock = "recorded"`): the broker's append times are those of the
writing, so on the broker's clock a backlog that is written in a minute is a minute long, whatever
it stands for. First comes the history of all live orders, with `track` running; then it is stopped,
the backlog is written, and it starts again. Its outcomes must be those of `ordertide replay` on
the same events, which knows no outage: no alert more, none less, none at another time.
"""

import json
import time
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import click
from click.testing import CliRunner

from benchmarks.recording import Feeder, Line, Recording, record
from benchmarks.report import Section, machine, put_sections, table, verdict
from benchmarks.scenario_installation import Kind, ScenarioInstallation, scenario_installation
from broker.connect import Connection
from broker.consume import read_all
from commands.replay import command as replay_command
from schemas.topics import CLOCK_KEY, ORDERS_AUDIT, ORDERS_CHANGES

SEED = 20_161_004
AIM_PER_S = 50_000
RATE = 3_000

Json = dict[str, Any]


class Amount(NamedTuple):
    """The backlog is `rate` events/s for `seconds`, over `live_orders`."""

    rate: int
    seconds: int
    live_orders: int
    seed: int


class Drained(NamedTuple):
    """Times in seconds from the start of the process, sizes in bytes."""

    backlog: int
    before_bytes: int
    peak_bytes: int
    first_s: float
    left_then: int  # messages
    all_s: float


class Said(NamedTuple):
    """Outcomes for orders: every audit entry by its id, and the orders by status."""

    audit: Counter[str]
    statuses: dict[str, int]


def measure(kind: Kind, amount: Amount) -> Section:
    """Play it."""
    said = machine(amount.seed)
    with scenario_installation(kind, {"clock": "recorded"}) as installation:
        recording = record(
            installation.folder,
            rate=amount.rate,
            live_orders=amount.live_orders,
            duration=f"{amount.seconds}s",
            seed=amount.seed,
        )
        drained = play(installation, recording)
        found = outcome(installation.connection)
        replayed = replay(installation.folder, recording)
    problems = differences(found, replayed, recording)
    head = (
        f"{said}\n\n{kind} broker; {amount.rate:,} events/s for {amount.seconds:,} s, "
        f"{amount.live_orders:,} live orders."
    )
    return Section("catchup", f"{head}\n\n{report(drained, found, problems)}")


def play(installation: ScenarioInstallation, recording: Recording) -> Drained:
    """History, outage, restart."""
    feeder = Feeder(installation)
    lines = recording.lines()
    history, after = split(lines, recording.start_at)
    installation.start_track()
    feeder.feed(history)
    feeder.tick(recording.start_at - 1)
    installation.settle(recording.start_at - 1)
    before_bytes = installation.stop_track()
    backlog = feeder.feed(after) + feeder.tick(recording.end_at)
    feeder.close()
    began = time.monotonic()
    behind = installation.lag()
    installation.start_track()
    installation.wait_until(lambda: installation.lag() < behind, "gets on")
    first_s, left_then = time.monotonic() - began, installation.lag()
    installation.drain()
    all_s = time.monotonic() - began
    installation.settle(recording.end_at)
    return Drained(backlog, before_bytes, installation.stop_track(), first_s, left_then, all_s)


def split(lines: Iterator[Line], start_at: int) -> tuple[list[Line], Iterator[Line]]:
    """(what arrives before, the rest)."""
    history: list[Line] = []
    for line in lines:
        if line.at is not None and line.at >= start_at:
            return history, chain([line], lines)
        history.append(line)
    return history, iter([])


def outcome(connection: Connection, without: str = CLOCK_KEY) -> Said:
    """Outcomes in the topics; orders whose id begins with `without` are left out."""
    audit = Counter(
        said_of(json.loads(m.value or b"{}")) for m in read_all(connection, ORDERS_AUDIT)
    )
    orders: dict[bytes, Json] = {}
    for message in read_all(connection, ORDERS_CHANGES):
        key = message.key or b""
        if message.value and not key.startswith(without.encode()):
            orders[key] = json.loads(message.value)
    return Said(audit, dict(Counter(order["status"] for order in orders.values())))


def replay(folder: Path, recording: Recording) -> Counter[str]:
    """Outcomes of `ordertide replay` on the whole recording.

    Raises:
        RuntimeError: it failed.
    """
    out = folder / "replayed"
    words = [str(recording.path), "--out", str(out), "--until", recording.expected["end"]]
    ran = CliRunner().invoke(replay_command, words)
    if ran.exit_code:
        raise RuntimeError(f"replay: {ran.output} {ran.exception}")
    with (out / "audit.ndjson").open("rb") as stream:
        return Counter(said_of(json.loads(line)) for line in stream)


def said_of(entry: Json) -> str:
    """Enough of an audit entry to distinguish two."""
    return " ".join(str(entry.get(name)) for name in ("audit_id", "what", "at", "order_id"))


def differences(found: Said, replayed: Counter[str], recording: Recording) -> list[str]:
    """Differences, in words; none if all is right."""
    problems = []
    if more := (found.audit - replayed).total():
        problems.append(f"{more:,} audit entries that a replay does not have")
    if fewer := (replayed - found.audit).total():
        problems.append(f"{fewer:,} audit entries missing")
    if found.statuses != recording.expected["orders_by_status"]:
        problems.append("final states differ from the load's")
    return problems


def report(drained: Drained, found: Said, problems: list[str]) -> str:
    """The table."""
    per_s = drained.backlog / drained.all_s
    later_per_s = drained.left_then / max(drained.all_s - drained.first_s, 0.001)
    heads = ["backlog", "drained in s", "first progress after s", "events/s, the start included"]
    heads += ["after it", f"aim {AIM_PER_S:,}", "peak MiB before", "peak MiB catching up"]
    row = [
        f"{drained.backlog:,}",
        f"{drained.all_s:.1f}",
        f"{drained.first_s:.1f}",
        f"{per_s:,.0f}",
        f"{later_per_s:,.0f}",
        verdict(is_met=per_s >= AIM_PER_S),
        f"{drained.before_bytes / 2**20:,.0f}",
        f"{drained.peak_bytes / 2**20:,.0f}",
    ]
    alerts = sum(n for said, n in found.audit.items() if " alert." in said)
    compared = (
        f"Compared with `ordertide replay` of the same events: {found.audit.total():,} audit "
        f"entries, {alerts:,} of them alerts opened, escalated or resolved; and "
        f"{sum(found.statuses.values()):,} orders by status with what the load expects: "
    )
    return f"{table(heads, [row])}\n\n{compared}{'; '.join(problems) or 'equal'}."


@click.command()
@click.option("--seconds", type=click.IntRange(1, 21_600), default=60, show_default=True)
@click.option("--rate", type=click.IntRange(1), default=RATE, show_default=True, help="events/s")
@click.option("--live-orders", type=click.IntRange(1), default=30_000, show_default=True)
@click.option("--broker", type=click.Choice(["kafka", "embedded"]), default="kafka")
@click.option("--quick", is_flag=True, help="a smoke run of seconds; its figures mean nothing")
@click.option("--seed", default=SEED, show_default=True)
@click.option("--out", type=click.Path(path_type=Path, exists=True), help="update its section")
def catchup(
    *,
    seconds: int,
    rate: int,
    live_orders: int,
    broker: Kind,
    quick: bool,
    seed: int,
    out: Path | None,
) -> None:
    """Stop track, let a backlog grow, start it again: how fast, how large, and no false alarm."""
    amount = Amount(rate, seconds, live_orders, seed)
    if quick:
        broker, amount = "embedded", Amount(50, 20, 300, seed)
    section = measure(broker, amount)
    click.echo(f"## {section.name}\n\n{section.text}\n")
    if out:
        put_sections(out, [section])
