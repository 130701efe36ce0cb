"""`ordertide top` over live orders in a topic: on a terminal of 80 columns, and in a pipe."""

import asyncio
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from broker.embedded import EmbeddedBroker
from broker.produce import Producer
from commands.top.app import OrderScreen, Top
from commands.top.monitor import Monitor
from commands.wiring.wording import alert_text
from dataflows.definition_files import read_lifecycle, read_rules
from deploy.installation import ROOT, Tables, command_line, write_settings
from schemas.instants import HOUR_MS
from schemas.order import OrderDocument
from schemas.settings.model import read_settings
from storage_tiering.warm.sqlite.tier import SqliteTier
from tests.support.alerts import alert, order, produce
from tests.support.command import broker_with_topics
from tests.support.tiers.orders import START, Log, document
from tests.support.waiting import wait_until

TABLE = read_lifecycle()
WORDING = alert_text(read_rules(None, TABLE), TABLE)
LONG_ID = "0123456789abcdef0123456789abcdef"
PATIENCE = 200  # pauses
END_WITHIN_S = 60


def late(name: str, hour: int, **fields: str) -> OrderDocument:
    opened = alert(order_id=name, opened_at=START + hour * HOUR_MS)
    return msgspec.structs.replace(order(name, 1, opened), **fields)


def put(broker: EmbeddedBroker, *orders: OrderDocument) -> None:
    with Producer(broker.connection) as producer:
        produce(producer, *orders)


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with broker_with_topics() as embedded:
        orders = [
            late(LONG_ID, 1, carrier="sf"),
            late("SO-2", 3, carrier="sto", status="SHIPPED"),
            *(document(f"o{number}", status="PAID") for number in range(20)),
        ]
        put(embedded, *orders)
        yield embedded


@pytest.fixture
def path(broker: EmbeddedBroker, tmp_path: Path) -> Path:
    tables: Tables = {
        "broker": {"bootstrap": broker.bootstrap, "embedded": True},
        "track": {"clock": "recorded"},
        "tiers": {"lookup": "warm"},
        "warm": {"folder": str(tmp_path / "warm")},
    }
    return write_settings(tmp_path / "ordertide.toml", tables)


Try = Callable[[Top, Pilot[None]], Awaitable[None]]


def on_screen(path: Path, broker: EmbeddedBroker, attempt: Try) -> None:
    """Run the application on a screen of 80 columns."""

    async def run() -> None:
        settings = read_settings(path)
        with Monitor(settings, broker.connection) as monitor:
            app = Top(monitor, settings, TABLE, WORDING)
            async with app.run_test(size=(80, 24)) as pilot:
                await until(pilot, lambda: app.live.alerts.row_count == 2)
                await attempt(app, pilot)

    asyncio.run(run())


async def until(pilot: Pilot[None], is_so: Callable[[], bool]) -> None:
    for _ in range(PATIENCE):
        if is_so():
            return
        await pilot.pause(0.1)
    raise AssertionError("\n".join(map(str, pilot.app.query(Static).results())))


def orders_in(app: Top) -> list[str]:
    """Order ids of the table, from top to bottom."""
    return [str(app.live.alerts.get_row_at(row)[2]) for row in range(app.live.alerts.row_count)]


def shown(app: Top, part: str) -> str:
    return str(app.live.query_one(f"#{part}", Static).render())


def test_it_shows_lanes_and_the_newest_alerts_with_whole_ids(
    path: Path, broker: EmbeddedBroker
) -> None:
    async def attempt(app: Top, pilot: Pilot[None]) -> None:
        assert orders_in(app) == ["SO-2", LONG_ID]
        assert "live orders 22" in shown(app, "lanes")
        assert "overdue 2" in shown(app, "lanes")
        assert app.size.width == 80
        await pilot.resize_terminal(132, 40)
        await until(pilot, lambda: app.size.width == 132)

    on_screen(path, broker, attempt)


def test_it_begins_with_the_live_orders_of_the_warm_tier_where_the_broker_drops_changes(
    path: Path, broker: EmbeddedBroker
) -> None:
    settings = read_settings(path)
    with closing(SqliteTier(Path(settings.warm.folder))) as warm:
        warm.write_orders(Log().changes(document("dropped", 2, status="PAID"), late("SO-9", 7)))
        warm.flush(force=True)
    with Monitor(settings, broker.connection) as monitor:
        wait_until(lambda: monitor.follower.is_loaded, "the topic is read")
        sample = monitor.sample()
    assert sample.lanes == {"normal": 21, "overdue": 3}
    assert [row.card.order_id for row in sample.rows] == ["SO-9", "SO-2", LONG_ID]


def test_keys_filter_sort_and_pause(path: Path, broker: EmbeddedBroker) -> None:
    async def attempt(app: Top, pilot: Pilot[None]) -> None:
        await pilot.press("s")
        await until(pilot, lambda: orders_in(app) == [LONG_ID, "SO-2"])
        await pilot.press("slash", *"STO", "enter")
        await until(pilot, lambda: orders_in(app) == ["SO-2"])
        assert "only with 'STO'" in shown(app, "note")
        await pilot.press("escape")
        await until(pilot, lambda: len(orders_in(app)) == 2)
        await pilot.press("space")
        put(broker, late("SO-3", 5))
        await pilot.pause(2.5)
        assert len(orders_in(app)) == 2, "paused"
        await pilot.press("space")
        await until(pilot, lambda: len(orders_in(app)) == 3)

    on_screen(path, broker, attempt)


def test_enter_opens_the_order_and_escape_goes_back(path: Path, broker: EmbeddedBroker) -> None:
    async def attempt(app: Top, pilot: Pilot[None]) -> None:
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, OrderScreen))
        assert isinstance(app.screen, OrderScreen)
        text = app.screen.text
        await until(pilot, lambda: "nothing was written to warm" in str(text.render()))
        await pilot.pause(2.5)  # the list below is drawn meanwhile
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, OrderScreen))

    on_screen(path, broker, attempt)


def once(settings: Path) -> subprocess.CompletedProcess[str]:
    """`top --once` in a pipe; a process, as it sets the level of all logs."""
    return subprocess.run(
        command_line("top", "--once", settings=settings),
        capture_output=True,
        text=True,
        timeout=END_WITHIN_S,
        cwd=ROOT,
        check=False,
    )


def test_in_a_pipe_it_prints_the_same_as_text(path: Path) -> None:
    ended = once(path)
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[0].startswith("stream time ")
    assert lines[1].startswith("live orders 22")
    assert "PAID 21, SHIPPED 1" in ended.stdout
    assert [line.split()[0] for line in lines[-2:]] == ["overdue", "overdue"]
    assert LONG_ID in lines[-1]


def test_a_broker_that_is_away_is_named(tmp_path: Path) -> None:
    settings = write_settings(tmp_path / "o.toml", {"broker": {"bootstrap": "127.0.0.1:1"}})
    ended = once(settings)
    assert ended.returncode == 2
    assert "127.0.0.1:1" in ended.stderr
