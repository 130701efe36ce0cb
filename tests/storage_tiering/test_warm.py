"""The warm tier alone: periods, queries, waiting events, SQLite's errors."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.errors import Busy, Rejected, StateError
from schemas.search import OrderQuery
from storage_tiering.warm.sqlite.period import period_end
from storage_tiering.warm.sqlite.tier import SqliteTier
from tests.support.tiers.orders import PERIOD_END, START, WARM_KEEP_MS, Log, accepted, document


@pytest.fixture
def tier(tmp_path: Path) -> Iterator[SqliteTier]:
    opened = SqliteTier(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def log() -> Log:
    return Log()


def names(tier: SqliteTier, query: OrderQuery, limit: int = 100) -> list[str]:
    return [found.order_id for found in tier.search(query, limit=limit).orders]


def test_each_period_has_a_file(tier: SqliteTier, log: Log, tmp_path: Path) -> None:
    tier.write_orders(log.changes(document("a"), document("b", warm_period="2017-11")))
    files = {path.name for path in tmp_path.glob("20*.sqlite")}
    assert files == {"2017-10.sqlite", "2017-11.sqlite"}


@pytest.mark.parametrize("period", ["", "2017", "2017-13", "../2017-10", "2017-1", "２０１７-10"])
def test_a_period_that_is_no_month_is_rejected(tier: SqliteTier, log: Log, period: str) -> None:
    with pytest.raises(Rejected, match="bad_period"):
        tier.write_orders(log.changes(document(warm_period=period)))


def test_a_period_ends_where_the_next_month_begins() -> None:
    assert period_end("2017-10") == PERIOD_END
    assert period_end("2017-12") == PERIOD_END + 61 * 86_400_000


def test_an_outdated_period_is_a_deleted_file(tier: SqliteTier, log: Log, tmp_path: Path) -> None:
    tier.write_orders(log.changes(document("a"), document("b", warm_period="2017-11")))
    tier.expire(PERIOD_END + WARM_KEEP_MS)
    assert not list(tmp_path.glob("2017-10*"))
    assert tier.find("default", "b") is not None


def test_a_late_change_does_not_bring_an_outdated_period_back(
    tier: SqliteTier, log: Log, tmp_path: Path
) -> None:
    tier.expire(PERIOD_END + WARM_KEEP_MS)
    tier.write_orders(log.changes(document()))
    assert not list(tmp_path.glob("2017-10*"))


def test_a_query_gives_the_newest_first_over_all_periods(tier: SqliteTier, log: Log) -> None:
    periods = ("2017-10", "2017-11", "2017-12")
    tier.write_orders(
        log.changes(
            *(document(f"o{n}", updated_at=START + n, warm_period=periods[n % 3]) for n in range(9))
        )
    )
    assert names(tier, OrderQuery(), limit=4) == ["o8", "o7", "o6", "o5"]
    assert names(tier, OrderQuery(changed_since=START + 6)) == ["o8", "o7", "o6"]


def test_a_query_asks_for_status_and_lane(tier: SqliteTier, log: Log) -> None:
    tier.write_orders(
        log.changes(
            document("a", lane="overdue", updated_at=START + 2),
            document("b", lane="overdue", status="SHIPPED", updated_at=START + 1),
            document("c", status="SHIPPED"),
        )
    )
    assert names(tier, OrderQuery(lane="overdue")) == ["a", "b"]
    assert names(tier, OrderQuery(status="SHIPPED")) == ["b", "c"]
    assert names(tier, OrderQuery(status="SHIPPED", lane="overdue")) == ["b"]
    assert names(tier, OrderQuery(status="'; DROP TABLE orders")) == []


def test_a_query_sees_only_the_latest_state(tier: SqliteTier, log: Log) -> None:
    tier.write_orders(log.changes(document(lane="overdue")))
    tier.write_orders(log.changes(document(version=2, lane="normal")))
    assert names(tier, OrderQuery(lane="overdue")) == []


def test_a_waiting_event_moves_to_the_file_of_its_order(
    tier: SqliteTier, log: Log, tmp_path: Path
) -> None:
    tier.write_events(log.events(accepted()))
    assert rows_in(tmp_path / "unplaced.sqlite", "unplaced") == 1
    tier.write_orders(log.changes(document()))
    assert rows_in(tmp_path / "unplaced.sqlite", "unplaced") == 0
    assert rows_in(tmp_path / "2017-10.sqlite", "events") == 1


def test_an_event_that_two_processes_left_waiting_is_shown(
    tier: SqliteTier, log: Log, tmp_path: Path
) -> None:
    tier.write_orders(log.changes(document()))
    other = SqliteTier(tmp_path)
    tier.write_events(log.events(accepted(event_id="2")))
    with sqlite3.connect(tmp_path / "2017-10.sqlite") as period:
        (row,) = period.execute("SELECT * FROM events").fetchall()
        period.execute("DELETE FROM events")
    period.close()
    with sqlite3.connect(tmp_path / "unplaced.sqlite") as unplaced:
        unplaced.execute("INSERT INTO unplaced VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    unplaced.close()
    found = other.find("default", "e481f51c")
    assert found is not None
    assert found.timeline == [accepted(event_id="2")]
    other.close()


def test_another_process_sees_what_is_written_and_what_is_dropped(
    tier: SqliteTier, log: Log, tmp_path: Path
) -> None:
    reader = SqliteTier(tmp_path)
    assert reader.find("default", "e481f51c") is None
    tier.write_orders(log.changes(document()))
    assert reader.find("default", "e481f51c") is not None
    tier.expire(PERIOD_END + WARM_KEEP_MS)
    assert reader.find("default", "e481f51c") is None
    reader.close()


def test_a_store_that_another_process_locks_is_busy(
    tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("schemas.sqlite_files.LOCK_TIMEOUT_S", 0.01)
    tier = SqliteTier(tmp_path)
    tier.write_orders(log.changes(document()))
    other = sqlite3.connect(tmp_path / "2017-10.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Busy, match="locked"):
        tier.write_orders(log.changes(document(version=2)))
    assert tier.find("default", "e481f51c") is not None, "look-ups go on"
    other.execute("ROLLBACK")
    other.close()
    tier.write_orders(log.changes(document(version=3)))
    tier.close()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "2017-10.sqlite").write_bytes(b"this is no database, " * 200)
    tier = SqliteTier(tmp_path)
    with pytest.raises(StateError, match=r"2017-10\.sqlite: file is not a database"):
        tier.find("default", "e481f51c")
    tier.close()


def rows_in(path: Path, table: str) -> int:
    connection = sqlite3.connect(path)
    (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - ours
    connection.close()
    return int(count)
