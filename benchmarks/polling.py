"""The poll plan alone: 100,000 parcels for seven virtual days, without HTTP.

Prints requests, the oldest promised news and the most requests in a second. Fails unless news was
never older than 30 minutes and the time of a request.
"""

import random
import time

import click

from benchmarks.polled_lives import lives, run
from benchmarks.report import table
from dataflows.carriers.polling import PROMISED_MS, Plan
from schemas.instants import DAY_MS

LATENCY_MS = 500
SEED = 21


@click.command("polling")
@click.option("--parcels", default=100_000, show_default=True, help="parcels in all")
@click.option("--batch", default=40, show_default=True, help="parcels of a request")
def polling(parcels: int, batch: int) -> None:
    """Ask for the parcels of a week by the plan, in virtual time."""
    rate = 2.0 * parcels / batch / 1_000
    began_at = time.perf_counter()
    week = lives(parcels, 5, random.Random(SEED))
    outcome = run(Plan(rate, batch=batch), week, 7 * DAY_MS, latency_ms=LATENCY_MS)
    rows = [
        ("parcels", f"{parcels:,}"),
        ("requests", f"{outcome.requests:,} of up to {batch} parcels"),
        ("parcels asked for", f"{outcome.asked:,}"),
        ("rate allowed, most in a second", f"{rate:.1f}, {outcome.most_a_second}"),
        ("oldest promised news", f"{outcome.oldest_ms / 60_000:.2f} min"),
        ("time", f"{time.perf_counter() - began_at:.0f} s"),
    ]
    print(table(["", ""], rows))
    if outcome.oldest_ms > PROMISED_MS + LATENCY_MS + 1_000 / rate:
        raise SystemExit("news was older than promised")
