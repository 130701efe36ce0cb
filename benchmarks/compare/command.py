"""`python -m benchmarks compare`: the same job in ordertide and in other systems.

python -m benchmarks compare                                        10,000 orders, all systems
python -m benchmarks compare --orders 1000000 --events 300000 --rounds 3
python -m benchmarks compare --systems ordertide,flink-rocksdb --rules default
python -m benchmarks compare --out docs/benchmarks.md               update its section
"""

from pathlib import Path
from typing import cast

import click

from benchmarks.compare.job import RuleSet, Trial
from benchmarks.compare.race import race
from benchmarks.compare.report import text_of
from benchmarks.compare.systems import SYSTEMS
from benchmarks.report import Section, put_sections
from schemas.instants import HOUR_MS, MINUTE_MS

SEED = 20_161_004
SILENCES_MS = {"48h": 48 * HOUR_MS, "10m": 10 * MINUTE_MS}


class Names(click.ParamType[tuple[str, ...]]):
    """`ordertide,quix`."""

    name = "names"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        names = tuple(str(value).split(","))
        unknown = [name for name in names if name not in SYSTEMS]
        if unknown:
            self.fail(f"{unknown[0]!r} isn't one of {', '.join(SYSTEMS)}", param, ctx)
        return names


@click.command()
@click.option("--orders", type=click.IntRange(100), default=10_000, show_default=True)
@click.option("--events", type=click.IntRange(100), default=50_000, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--systems", type=Names(), help=f"with commas; all: {','.join(SYSTEMS)}")
@click.option("--deadline", type=click.Choice(list(SILENCES_MS)), default="48h", show_default=True)
@click.option("--duplicates", default=0.05, show_default=True, help="share of events sent twice")
@click.option("--rules", type=click.Choice(["like", "default"]), default="like", show_default=True)
@click.option("--checkpoint-s", default=10.0, show_default=True)
@click.option("--seed", default=SEED, show_default=True)
@click.option("--out", type=click.Path(path_type=Path, exists=True), help="update its section")
def compare(  # noqa: PLR0913  # a command has as many parameters as it has options
    *,
    orders: int,
    events: int,
    rounds: int,
    systems: tuple[str, ...] | None,
    deadline: str,
    duplicates: float,
    rules: str,
    checkpoint_s: float,
    seed: int,
    out: Path | None,
) -> None:
    """Run the same job in ordertide and in other systems, on one Kafka, one core each."""
    trial = Trial(
        orders=orders,
        events=events,
        rounds=rounds,
        silence_ms=SILENCES_MS[deadline],
        duplicates=duplicates,
        seed=seed,
        rules=cast("RuleSet", rules),
        checkpoint_ms=int(checkpoint_s * 1000),
    )
    section = Section("compare", text_of(trial, *race(trial, systems or tuple(SYSTEMS))))
    click.echo(f"## {section.name}\n\n{section.text}\n")
    if out:
        put_sections(out, [section])
