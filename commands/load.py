"""`ordertide load`: realistic order lives as a stream of events, into a file or the broker."""

import time
from pathlib import Path
from typing import Any

import click

from commands.wiring.broker import prepared
from commands.wiring.process import now_ms, temporary_stop_event
from commands.wiring.settings_file import settings_option
from loadgen.options import Amount, Times, plan_of
from loadgen.output import FileOutput, Output, TopicOutput
from loadgen.pace import Live, Pace, Recorded
from loadgen.plan import Plan, Shares
from loadgen.run import run, write_expectation
from loadgen.stream import Stream
from loadgen.text import Text
from schemas.display import count_of
from schemas.instants import format_instant, parse_duration
from schemas.settings.model import Settings, read_settings
from telemetry.screen import show

SHARE = click.FloatRange(0, 1)
ABOVE_ZERO = click.FloatRange(0, min_open=True)
ABOVE_ONE = click.FloatRange(1, min_open=True)


@click.command("load")
@click.option("--orders-per-day", type=ABOVE_ZERO, help="lives as long as modelled [100000]")
@click.option("--rate", type=ABOVE_ZERO, help="messages a second, steady from the first on")
@click.option("--live-orders", type=click.IntRange(1), help="with --rate [100 for each message/s]")
@click.option("--duration", default="1h", show_default=True, help="of the stream: 90s, 10m, 7d")
@click.option("--seed", type=int, default=1, show_default=True, help="same seed, same bytes")
@click.option("--out", help="FILE.ndjson, .ndjson.gz, .ndjson.zst or - [the broker's events]")
@settings_option()
@click.option(
    "--clock", type=click.Choice(["recorded", "live"]), help="[the settings'; to a file: recorded]"
)
@click.option("--start", default="2026-01-01T00:00:00Z", show_default=True, help="recorded clock")
@click.option("--tick-every", default="1m", show_default=True, help="recorded clock")
@click.option("--daily-curve/--no-daily-curve", default=None, help="[on without --rate]")
@click.option("--flash-sale", help="how long after the start it begins")
@click.option("--flash-sale-length", default="10m", show_default=True)
@click.option("--flash-sale-times", type=ABOVE_ONE, default=3.0, show_default=True, help="load")
@click.option("--duplicates", type=SHARE, default=0.2, show_default=True, help="share of events")
@click.option("--out-of-order", type=SHARE, default=0.05, show_default=True, help="share of events")
@click.option("--late", type=SHARE, default=0.01, show_default=True, help="share of events")
@click.option("--malformed", type=SHARE, default=0.001, show_default=True, help="beside events")
@click.option("--prefix", help="of all ids, to keep loads apart [L and the seed]")
@click.option("--expect", type=click.Path(path_type=Path), help="FILE.json: what must come of it")
def command(**options: Any) -> None:  # noqa: ANN401 - click knows their types
    """Generate orders that live, ship, come back and get lost like real ones.

    \b
    ordertide load --orders-per-day 1e6 --duration 1d --out day.ndjson.zst --expect day.json
    ordertide load --rate 10000 --live-orders 1000000 --duration 5m --settings ordertide.toml
    ordertide load --rate 500 --flash-sale 5m --duration 30m --out - | head
    """
    settings = read_settings(options["path"])
    is_live = clock_of(options, settings) == "live"
    start = format_instant(now_ms()) if is_live else options["start"]
    plan = plan_of(
        Amount(options["orders_per_day"], options["rate"], options["live_orders"]),
        Times(
            start,
            options["duration"],
            options["flash_sale"],
            options["flash_sale_length"],
            options["flash_sale_times"],
        ),
        Shares(*(options[name] for name in ("duplicates", "out_of_order", "late", "malformed"))),
        options["seed"],
        is_daily=options["daily_curve"],
    )
    load(plan, settings, options, is_live=is_live)


def clock_of(options: dict[str, Any], settings: Settings) -> str:
    """The clock from the options, else the one that fits the destination."""
    if options["clock"]:
        return str(options["clock"])
    is_recorded = options["out"] or settings.track.clock == "recorded"
    return "recorded" if is_recorded else "live"


def load(plan: Plan, settings: Settings, options: dict[str, Any], *, is_live: bool) -> None:
    """Run the plan and report its outcome."""
    tick_every_ms = parse_duration(options["tick_every"], of="--tick-every")
    text = Text(options["prefix"] or f"L{plan.seed}", plan.scale, recorded=not is_live)
    output = output_of(options["out"], settings, text, is_live=is_live)
    stream = Stream(plan)
    started_s = time.monotonic()
    with temporary_stop_event() as stop:
        pace: Pace = Recorded(output, tick_every_ms, stream.begins_at)
        if is_live:
            pace = Live(output, plan.start_at, now_ms, stop)
        expected = run(stream, output, pace, stop)
    if options["expect"]:
        write_expectation(options["expect"], expected)
    report(expected, output, time.monotonic() - started_s)


def output_of(out: str | None, settings: Settings, text: Text, *, is_live: bool) -> Output:
    """The file, or the topic `events` of the settings' broker."""
    if out:
        return FileOutput(out, text)
    connection = prepared(settings.broker)
    readers = [settings.track.group] if settings.broker.embedded else []
    return TopicOutput(connection, text, readers, live=is_live)


def report(expected: dict[str, Any], output: Output, seconds: float) -> None:
    """Report the totals in a line or two on standard error: the other may hold the events."""
    messages = expected["events_read"]
    rate = messages / max(seconds, 0.001)
    show(
        f"{count_of(messages, 'message')} ({output.size_bytes / 1e6:,.1f} MB) of "
        f"{count_of(expected['orders'], 'order')} in {seconds:.1f} s: {rate:,.0f}/s",
        err=True,
    )
    if behind_ms := expected.get("behind_ms"):
        show(f"at most {behind_ms} ms behind the intended instants", err=True)
