"""`python -m benchmarks board`: the board in Chromium beside 19 stream readers.

Needs the extra `browser` and chromium (apt-get install chromium).

python -m benchmarks board                                about five minutes
python -m benchmarks board --seconds 10 --orders 100      a look
python -m benchmarks board --out docs/benchmarks.md       update its section

`serve` has one core; Chromium, the readers, Kafka, Redis and `track` share the other. An order's
change is timed from its append to `orders.changes`, and from its event's to `events`, until the
board has painted its card.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import click
import msgspec

from benchmarks.board_changes import (
    CHANGES_PER_S,
    SHOWN_SHARE,
    Made,
    append_documents,
    drawn,
    latencies,
    latest_documents,
    send_events,
    send_tick,
)
from benchmarks.board_page import (
    SIZE,
    Loaded,
    Painted,
    chromium,
    load,
    observe_anew,
    observed,
    opened,
    shown_orders,
)
from benchmarks.http_load import OTHER_CORE, SERVE_CORE, percentile
from benchmarks.report import Section, machine, put_sections, table, verdict
from benchmarks.scenario_installation import (
    ScenarioInstallation,
    cpu_seconds,
    scenario_installation,
)
from benchmarks.serving import FAST, Serve, start_serve
from benchmarks.stream_readers import StreamReaders, reading
from broker.produce import Producer
from commands.demo.feed import SEED, history
from commands.demo.schedule import live_from
from commands.wiring.process import now_ms
from deploy.stack.ports import free_port
from deploy.stack.redis import Redis
from gateway.access.folder import open_folder
from gateway.access.keys import ADMIN_ID
from gateway.access.sessions import Sessions
from gateway.access.shares import Share, Shares
from gateway.access.signing import Signer
from gateway.api.stream import MOST_STREAMS
from schemas import topics
from schemas.errors import OrdertideError
from schemas.keys import DEFAULT_TENANT
from schemas.order import OrderDocument

if TYPE_CHECKING:
    from playwright.sync_api import Page

READERS = 19
LOADS = 3
PAINTED_WITHIN_S, POLL_S = 60.0, 0.5
FAR_S = 1 << 40
AIM_P50_MS, AIM_P99_MS, AIM_CORE = 400.0, 1_000.0, 0.25
AIM_LARGEST_MS, AIM_LONGEST_MS, AIM_BYTES = 1_000.0, 100.0, 60_000


class Window(NamedTuple):
    """Window of measurement.

    `latencies_ms` are from a change to its painted card, ascending, `unseen` the changes that never
    were; `per_s` is the rate of changes that was kept, `core` the share of one that `serve` took,
    at the rate that is meant. `read_share` is that of the changes that a stream reader got: of two
    of one order in a row it may get the later one alone.
    """

    latencies_ms: list[float]
    unseen: int
    per_s: float
    core: float
    read_share: float
    longest_ms: float
    shift: float


# ---------------------------------------------------------------- the installation
@contextmanager
def installed() -> Iterator[tuple[ScenarioInstallation, int]]:
    """Kafka and Redis, and the port of `serve`."""
    port = free_port()
    with TemporaryDirectory(prefix="board-") as name, Redis(Path(name), options=FAST) as redis:
        more: dict[str, dict[str, object]] = {
            "serve": {"port": port, "folder": "serve"},
            "hot": {"url": redis.address["url"]},
        }
        with scenario_installation("kafka", {"clock": "recorded"}, **more) as installation:
            yield installation, port


def feed(installation: ScenarioInstallation, producer: Producer, orders: int) -> int:
    """Write the demo's orders, which end now; the stream's time (ms) at their end."""
    schedule = live_from(now_ms())
    for at, _, _, event in history(orders, schedule):
        if "order_id" in event:
            producer.send(topics.EVENTS, event["order_id"].encode(), msgspec.json.encode(event))
        else:
            send_tick(producer, at)
    producer.flush()
    installation.start_track()
    installation.processes.start("write", "hot")
    installation.processes.start("write", "warm")
    installation.settle(schedule.end_at)
    return schedule.end_at


# ---------------------------------------------------------------- measuring
def watched(
    serve: Serve, page: "Page", readers: StreamReaders, change: Callable[[], Made]
) -> Window:
    """Measure while `change` makes changes."""
    observe_anew(page)
    shown = set(shown_orders(page))
    read, cpu, began_s = sum(readers.changes), cpu_seconds(serve.process.pid), time.monotonic()
    made = change()
    lasted_s, cpu_s = time.monotonic() - began_s, cpu_seconds(serve.process.pid) - cpu
    changes = made()
    meant = [each for each in changes if each.key in shown]
    give_up_at_s = time.monotonic() + PAINTED_WITHIN_S
    while True:
        seen = observed(page)
        found, unseen = latencies(meant, [Painted(*each) for each in seen["painted"]])
        if not unseen or time.monotonic() > give_up_at_s:
            break
        time.sleep(POLL_S)
    if readers.faults:
        raise OrdertideError(f"a stream reader: {readers.faults[0]}")
    if not found:
        raise OrdertideError("the board painted no change; look at the log of serve")
    got = (sum(readers.changes) - read) / len(readers.changes)
    return Window(
        latencies_ms=found,
        unseen=unseen,
        per_s=len(changes) / lasted_s,
        core=cpu_s / len(changes) * CHANGES_PER_S,
        read_share=got / len(changes),
        longest_ms=seen["longest_ms"],
        shift=seen["shift"],
    )


# ---------------------------------------------------------------- the whole
def reader_keys(serve: Serve) -> list[str]:
    """A key for each stream reader; a key may have so many streams."""
    client = serve.client()
    asked = msgspec.json.encode({"role": "operator", "name": "benchmark"})
    head = {"Content-Type": "application/json"}
    made = [
        msgspec.json.decode(client.request("POST", "/v1/keys", asked, head).body)["key"]
        for _ in range(-(-READERS // MOST_STREAMS))
    ]
    client.close()
    return (made * MOST_STREAMS)[:READERS]


class Signed(NamedTuple):
    """A `serve` with the session of its administrator, and the way to share orders."""

    serve: Serve
    cookie: str
    shares: Shares

    def paths(self, order_id: str) -> dict[str, str]:
        """The pages that are loaded, with this order."""
        share = Share(DEFAULT_TENANT, order_id, "town", FAR_S)
        link = f"/t/{self.shares.sealed(share)}"
        return {"board": "/", "order": f"/orders/{order_id}", "customer": link}


def signed_in(installation: ScenarioInstallation, port: int) -> Signed:
    """A `serve` that runs, with the administrator signed in."""
    serve, _ = start_serve(installation, port)
    folder = installation.folder / "serve"
    secret = open_folder(folder).secret
    cookie = Sessions(Signer(secret), folder).session(ADMIN_ID, time.time())
    return Signed(serve, cookie, Shares(secret))


def measure(installation: ScenarioInstallation, port: int, orders: int, seconds: int) -> str:
    """The report."""
    with Producer(installation.connection, linger_ms=0) as producer, chromium() as browser:
        feed(installation, producer, orders)
        site = signed_in(installation, port)
        address, cookie = site.serve.url, site.cookie
        with opened(browser, address, "/", cookie) as page:
            shown = shown_orders(page)
        loads = {
            name: [load(browser, address, path, cookie) for _ in range(LOADS)]
            for name, path in site.paths(shown[0]).items()
        }
        with (
            reading(address, reader_keys(site.serve)) as readers,
            opened(browser, address, "/", cookie) as page,
        ):
            windows = measure_changes(installation, producer, site.serve, page, readers, seconds)
        live = len(latest_documents(installation))
    head = (
        f"{live:,} live orders of the demo, {len(shown)} of them as cards on the board; "
        f"{CHANGES_PER_S} changes/s for {seconds} s, {SHOWN_SHARE:.0%} of them of these cards; "
        f"one page in Chromium and {READERS} stream readers."
    )
    return "\n\n".join([head, report_changes(*windows), report_loads(loads)])


def measure_changes(
    installation: ScenarioInstallation,
    producer: Producer,
    serve: Serve,
    page: "Page",
    readers: StreamReaders,
    seconds: int,
) -> tuple[Window, Window]:
    """Changes appended to `orders.changes`, and those that `track` made of events before."""
    shown, count = shown_orders(page), CHANGES_PER_S * seconds

    def keys_of(documents: Mapping[str, OrderDocument]) -> Iterator[str]:
        return drawn(shown, sorted(documents.keys() - set(shown)), count)

    keys = keys_of(latest_documents(installation))
    through = watched(serve, page, readers, lambda: send_events(installation, producer, keys))
    installation.stop_track()
    documents = latest_documents(installation)
    keys = keys_of(documents)
    direct = watched(serve, page, readers, lambda: append_documents(producer, documents, keys))
    return direct, through


def report_changes(direct: Window, through: Window) -> str:
    """From a change to the painted card."""
    rows = [
        [
            name,
            *(f"{percentile(each.latencies_ms, share):,.0f}" for share in (0.5, 0.99, 1.0)),
            f"{len(each.latencies_ms):,}",
            each.unseen,
            f"{each.per_s:.0f}",
            f"{each.core:.0%}",
            f"{each.read_share:.1%}",
            f"{each.longest_ms:.0f}",
            f"{each.shift:.3f}",
        ]
        for name, each in (("append on `orders.changes`", direct), ("`events`", through))
    ]
    heads = ["from", "p50 ms", "p99 ms", "most ms", "painted", "never", "changes/s"]
    heads += ["core of `serve`", "changes that a reader got", "longest task ms", "layout shift"]
    p50, p99 = (percentile(direct.latencies_ms, share) for share in (0.5, 0.99))
    aims = [
        aim(f"append to paint p50 < {AIM_P50_MS:.0f} ms", f"{p50:.0f} ms", p50 < AIM_P50_MS),
        aim(f"p99 < {AIM_P99_MS:,.0f} ms", f"{p99:.0f} ms", p99 < AIM_P99_MS),
        aim(
            f"`serve` at most {AIM_CORE:.0%} of a core",
            f"{direct.core:.0%}",
            direct.core <= AIM_CORE,
        ),
    ]
    return "\n\n".join([table(heads, rows), table(["aim", "measured", ""], aims)])


def report_loads(loads: Mapping[str, Sequence[Loaded]]) -> str:
    """Loading the pages."""
    rows = []
    for name, found in loads.items():
        largest = median(each.largest_ms for each in found)
        shift, longest = (max(map(attrgetter(at), found)) for at in ("shift", "longest_ms"))
        moved = ", ".join(sorted({name for each in found for name in each.shifted if name}))
        page = found[-1]
        is_met = (
            largest < AIM_LARGEST_MS
            and not shift
            and longest <= AIM_LONGEST_MS
            and page.html_sent_bytes <= AIM_BYTES
            and page.files_sent_bytes <= AIM_BYTES
        )
        rows.append(
            [
                name,
                f"{largest:.0f}",
                f"{shift:.3f} {moved}".strip(),
                f"{longest:.0f}",
                f"{page.html_sent_bytes / 1e3:.1f} ({page.html_bytes / 1e3:.0f})",
                f"{page.files_sent_bytes / 1e3:.1f}",
                verdict(is_met=is_met),
            ]
        )
    heads = ["page", "LCP ms", "layout shift", "longest task ms", "HTML kB (unpacked)"]
    heads += ["script and styles kB", ""]
    aims = (
        f"Pages, each loaded {LOADS} times with nothing cached, at {SIZE['width']} px: the middle "
        "of the largest contentful paints, the most of the others. Aims: LCP below "
        f"{AIM_LARGEST_MS:,.0f} ms, no layout shift, no task over {AIM_LONGEST_MS:.0f} ms (a "
        f"browser reports those over 50), HTML and files at most {AIM_BYTES / 1e3:.0f} kB each, "
        "compressed."
    )
    return f"{aims}\n\n{table(heads, rows)}"


def aim(text: str, measured: str, is_met: bool) -> list[str]:  # noqa: FBT001 - a column
    """A row of the aims."""
    return [text, measured, verdict(is_met=is_met)]


@click.command()
@click.option("--orders", default=300, show_default=True, help="of the sample, beside the demo's")
@click.option("--seconds", default=60, show_default=True, help="length of each of both windows")
@click.option("--out", type=click.Path(path_type=Path, exists=True), help="update its section")
def board(orders: int, seconds: int, out: Path | None) -> None:
    """Measure the board in Chromium: from a change to the painted card, and loading its pages."""
    began_with = machine(SEED)
    os.sched_setaffinity(0, {OTHER_CORE})  # all that is started from here shares it
    with installed() as (installation, port):
        told = f"{began_with}\n\n{measure(installation, port, orders, seconds)}"
    os.sched_setaffinity(0, {SERVE_CORE, OTHER_CORE})
    click.echo(told)
    if out:
        put_sections(out, [Section("board", told)])
