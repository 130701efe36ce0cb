"""The comparison as tables."""

from collections.abc import Sequence

from benchmarks.compare.job import Obstacle, Trial
from benchmarks.compare.race import Result
from benchmarks.report import Spread, machine, spread, table
from schemas.instants import HOUR_MS

HEADS = (
    "system",
    "events/s on one core",
    "CPU µs an event",
    "RSS MiB",
    "fill, events/s",
    "ordertide is … times as fast",
    "same state and alerts",
)


def text_of(trial: Trial, results: Sequence[Result], obstacles: Sequence[Obstacle]) -> str:
    """Report: the run, the table, the differences, the systems that could not take part."""
    ours = next((rate(one) for one in results if one.name == "ordertide" and one.paces), None)
    parts = [machine(trial.seed), said(trial), table(HEADS, [row(one, ours) for one in results])]
    troubles = [f"- {one.name}: {'; '.join(one.differs)}" for one in results if one.differs]
    troubles += [f"- {one.name} stopped: {one.stopped}" for one in results if one.stopped]
    troubles += [f"- {one.name} can't take part here: {one.reason}" for one in obstacles]
    return "\n\n".join([*parts, *(["\n".join(troubles)] if troubles else [])])


def said(trial: Trial) -> str:
    """The trial in a sentence."""
    return (
        f"{trial.orders:,} live orders, {trial.rounds} rounds of {trial.events:,} messages in turn "
        f"after one to warm up, {trial.duplicates:.0%} of them duplicates, deadline "
        f"{trial.silence_ms / HOUR_MS:g} h, checkpoints or commits every "
        f"{trial.checkpoint_ms / 1000:g} s, ordertide with its {trial.rules} rules. "
        "Median (least - most)."
    )


def row(result: Result, ours: Spread | None) -> list[str]:
    """A system's row."""
    filled = f"{result.fill.events_per_s:,.0f}" if result.fill else "-"
    if not result.paces:
        return [result.name, "-", "-", "-", filled, "-", "-"]
    times = f"{ours.median / rate(result).median:.1f}" if ours else "-"
    return [
        result.name,
        rate(result).text(),
        spread([pace.cpu_us for pace in result.paces]).text(1),
        f"{result.paces[-1].rss_mb:,.0f}",
        filled,
        times,
        verdict(result),
    ]


def rate(result: Result) -> Spread:
    """Events/s over the rounds."""
    return spread([pace.events_per_s for pace in result.paces])


def verdict(result: Result) -> str:
    """Verdict on a result: the end is as expected or not."""
    if result.stopped:
        return "stopped"
    return "**no**" if result.differs else "yes"
