"""`python -m benchmarks numbers`: what the resolver's numbers cost, a call and in memory.

python -m benchmarks numbers                                    1,000,000 numbers
python -m benchmarks numbers --beside ../before --rounds 3      in turn with another checkout
python -m benchmarks numbers --out docs/benchmarks.md           update its section

One resolver holds all numbers, one for each order. Each figure is CPU time a number, calls from
Python and copies of facts included: registering a new number, registering it again by an event that
adds nothing, answering by it for the first time and again on the same day, a delta with all of them
(as many epochs make it), a base, a restart from the base. Bytes are what the process's resident
memory grew by with the registrations. Each round is a process of its own; with `--beside` the
processes of both checkouts follow one another, so that other work on the machine hits both.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import click

from benchmarks.report import Section, machine, put_sections, spread, table

SEED = 20_161_004
ROUND = Path(__file__).with_name("number_round.py")
TITLES = {
    "register_us": "register a new number, µs",
    "register_again_us": "register it again, nothing new, µs",
    "ask_us": "answer by it, first use, µs",
    "ask_again_us": "answer by it again, same day, µs",
    "delta_us": "a delta, µs a changed number",
    "base_us": "a base, µs a number",
    "restore_us": "restart from the base, µs a number",
    "crowd_us": "register one of 3,000 orders of one number, a delta after each, µs",
    "resident_bytes": "resident bytes a number",
    "base_bytes": "bytes of the base a number, not compressed",
}


def run_round(checkout: Path, count: int) -> dict[str, float]:
    """One round in a process that imports the engine of a checkout."""
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    command = [sys.executable, str(ROUND), str(count)]
    ended = subprocess.run(  # noqa: S603 - our own program
        command, check=True, capture_output=True, env=environment, cwd=checkout
    )
    figures: dict[str, float] = json.loads(ended.stdout)
    return figures


@click.command()
@click.option("--count", default=1_000_000, show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option(
    "--beside", type=click.Path(path_type=Path, exists=True, file_okay=False), help="a checkout"
)
@click.option("--out", type=click.Path(path_type=Path, exists=True), help="update its section")
def numbers(count: int, rounds: int, beside: Path | None, out: Path | None) -> None:
    """Measure registering, answering and storing the numbers of the resolver."""
    here = ROUND.parent.parent
    checkouts = {"here": here} | ({"beside": beside.resolve()} if beside else {})
    said = f"{machine(SEED)}; {count:,} numbers, {rounds} rounds; median (least - most)"
    found: dict[str, list[dict[str, float]]] = {name: [] for name in checkouts}
    for _ in range(rounds):
        for name, checkout in checkouts.items():
            found[name].append(run_round(checkout, count))
    rows = [
        [title, *(spread([each[key] for each in found[name]]).text(2) for name in checkouts)]
        for key, title in TITLES.items()
    ]
    section = Section("numbers", f"{said}\n\n{table(['what', *checkouts], rows)}")
    click.echo(f"## {section.name}\n\n{section.text}\n")
    if out:
        put_sections(out, [section])
