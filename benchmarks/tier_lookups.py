"""`python -m benchmarks tiers`: look-ups through the API in the hot, the warm and the cold tier.

python -m benchmarks tiers --keep population              fills it first: about twenty minutes
python -m benchmarks tiers --keep population --hdfs       with the archive on HDFS
python -m benchmarks tiers --hot 2000 --warm 2000 --archived 50000      a smoke run
python -m benchmarks tiers --keep population --out docs/benchmarks.md   update its section

Needs redis-server and Java (`ordertide stack`). With `--keep` the population is used again by the
next run of the same amounts, and a filling that was interrupted is resumed.
"""

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import click
import msgspec

from benchmarks.http_load import paced, percentile
from benchmarks.report import Section, machine, put_sections, table, verdict
from benchmarks.scenario_installation import scenario_installation
from benchmarks.serving import LIMITED, UNLIMITED, Serve, start_serve
from benchmarks.tier_population import Amounts, Filled, Tables, population
from benchmarks.tier_templates import SEED
from deploy.installation import metrics_at
from deploy.stack.ports import free_port
from schemas.errors import OrdertideError

FILES = "ordertide_archive_files_opened_total"
AMOUNTS = Amounts()
WARM_UP_S = 5


class Arm(NamedTuple):
    """A tier: requests a second of its open loop, and the aim of their p99 in ms."""

    tier: str
    per_s: float
    aim_ms: float


ARMS = (Arm("hot", 200.0, 5.0), Arm("warm", 50.0, 50.0), Arm("archive", 5.0, 500.0))


class Measured(NamedTuple):
    """Latencies (ms, ascending) of an open loop and of one client; files opened a look-up."""

    first_ms: float
    paced: list[float]
    alone: list[float]
    files: float


def alone(serve: Serve, paths: Sequence[str], seconds: int) -> list[float]:
    """Latencies in ms of one client, each request after the answer to the one before, ascending."""
    client, chance, found = serve.client(), random.Random(SEED), list[float]()
    until_s = time.perf_counter() + seconds
    while time.perf_counter() < until_s:
        began_s = time.perf_counter()
        client.request("GET", chance.choice(paths))
        found.append((time.perf_counter() - began_s) * 1e3)
    client.close()
    return sorted(found)


def measure(serve: Serve, arm: Arm, names: Sequence[str], seconds: int) -> Measured:
    """Look up orders of a tier, after those that open the connections of all readers.

    Raises:
        OrdertideError: another tier has answered.
    """
    paths = [f"/v1/orders/{name}" for name in names]
    began_s = time.perf_counter()
    answer = msgspec.json.decode(serve.get(paths[0]))
    first_ms = (time.perf_counter() - began_s) * 1e3
    if answer["answered_by"] != arm.tier:
        raise OrdertideError(f"{arm.tier}: {answer['answered_by']} has answered for {names[0]}")
    paced(serve.client, paths, arm.per_s, WARM_UP_S)
    before = files_opened(serve)
    latencies = paced(serve.client, paths, arm.per_s, seconds)
    files = (files_opened(serve) - before) / len(latencies)
    return Measured(first_ms, latencies, alone(serve, paths, seconds), files)


def files_opened(serve: Serve) -> float:
    """Data files of the archive that the gateway has opened."""
    return metrics_at(serve.process.port)[FILES]


@contextmanager
def served(tables: Tables) -> Iterator[Serve]:
    """`serve` over the tiers, with a Kafka that has no live orders."""
    port = free_port()
    own = {"port": port, "folder": "serve", "limits": dict.fromkeys(LIMITED, UNLIMITED)}
    track = dict(tables["track"])
    more = {name: tables[name] for name in tables if name != "track"}
    with scenario_installation("kafka", track, serve=own, **more) as installation:
        serve, _ = start_serve(installation, port)
        yield serve


def text_of(filled: Filled, found: dict[str, Measured], seconds: int) -> str:
    """The section."""
    rows = [
        [
            f"{arm.tier}, {arm.per_s:,.0f}/s",
            *cells(one.paced),
            *cells(one.alone),
            f"{one.files:.1f}",
            f"{one.first_ms:,.0f}",
            f"{arm.aim_ms:.0f}",
            verdict(is_met=percentile(one.paced, 0.99) <= arm.aim_ms),
        ]
        for arm in ARMS
        for one in [found[arm.tier]]
    ]
    heads = ["tier", "p50 ms", "p99 ms", "one client: p50", "p99", "files opened", "first ms"]
    where = "on HDFS" if filled.on_hdfs else "in a local folder"
    parts = "; ".join(f"{name}: {text}" for name, text in sorted(filled.parts.items()))
    head = (
        f"The archive lies {where}; filled in {filled.took_s / 60:.0f} min. {parts}. "
        f"{seconds} s an arm and loop."
    )
    return "\n\n".join([machine(SEED), head, table([*heads, "aim p99", ""], rows)])


def cells(ascending: Sequence[float]) -> tuple[str, str]:
    """p50 and p99."""
    return f"{percentile(ascending, 0.5):.1f}", f"{percentile(ascending, 0.99):.1f}"


@click.command("tiers")
@click.option("--hot", default=AMOUNTS.hot, show_default=True, help="orders in Redis")
@click.option("--warm", default=AMOUNTS.warm, show_default=True, help="orders in Elasticsearch")
@click.option("--archived", default=AMOUNTS.archived, show_default=True, help="events, at least")
@click.option("--hdfs", is_flag=True, help="the archive on HDFS instead of a local folder")
@click.option("--keep", type=click.Path(path_type=Path), help="folder of the population")
@click.option("--seconds", default=30, show_default=True, help="length of a loop")
@click.option("--out", type=click.Path(path_type=Path, exists=True), help="update its section")
def tier_lookups(  # a command has as many parameters as it has options
    *,
    hot: int,
    warm: int,
    archived: int,
    hdfs: bool,
    keep: Path | None,
    seconds: int,
    out: Path | None,
) -> None:
    """Measure look-ups through the API, each tier for itself."""
    with ExitStack() as stack:
        folder = keep or Path(stack.enter_context(TemporaryDirectory(prefix="tiers-")))
        filled, tables, names = stack.enter_context(
            population(folder.absolute(), Amounts(hot, warm, archived), on_hdfs=hdfs)
        )
        serve = stack.enter_context(served(tables))
        found = {arm.tier: measure(serve, arm, names[arm.tier], seconds) for arm in ARMS}
    text = text_of(filled, found, seconds)
    click.echo(text)
    if out:
        put_sections(out, [Section("tiers", text)])
