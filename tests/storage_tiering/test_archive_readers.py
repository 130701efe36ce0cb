"""A topic's folder as it lies, for readers of Parquet: pyarrow, pandas, DuckDB."""

import ast
import re
from datetime import date
from pathlib import Path

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from schemas.instants import DAY_MS, HOUR_MS, format_instant, parse_instant
from schemas.topics import ORDERS_CHANGES, ORDERS_EVENTS
from storage_tiering.archive.columns import EVENT_COLUMNS, ORDER_COLUMNS
from storage_tiering.archive.compaction import CompactionSettings
from storage_tiering.archive.files import LocalFiles
from storage_tiering.archive.names import DAY
from storage_tiering.archive.parquet import ArchiveSettings, ParquetTier
from storage_tiering.tier import OrderRecord
from tests.support.tiers.archive_files import data_files, rows_of
from tests.support.tiers.orders import START, Log, accepted, document

DOCS = Path(__file__).resolve().parents[2] / "docs"
BY_HAND = ArchiveSettings(seal_rows=1_000_000, seal_age_s=None)
# Reserved in Spark's ANSI mode or in SQL:2016, beside what DuckDB lists.
RESERVED = {
    *("all", "and", "any", "as", "at", "by", "case", "check", "column", "cross", "current_date"),
    *("date", "day", "end", "event", "filter", "from", "grant", "group", "hour", "in", "interval"),
    *("key", "language", "method", "minute", "module", "month", "name", "offset", "on", "only"),
    *("order", "partition", "position", "range", "row", "rows", "second", "select", "source"),
    *("system", "table", "time", "timestamp", "to", "type", "user", "using", "value", "version"),
    *("window", "year", "zone"),
}


def archive(root: Path) -> ParquetTier:
    return ParquetTier(LocalFiles(root), BY_HAND)


def fill(root: Path, days: int = 3) -> ParquetTier:
    """Three files a day of each topic, in two partitions; the first days are merged."""
    tier = archive(root)
    logs = [Log(0), Log(1)]
    for number in range(days * 3):
        at = START + number // 3 * DAY_MS + number % 3 * HOUR_MS
        for log in logs:
            name = f"o{log.partition}-{number}"
            tier.write_orders(
                log.changes(
                    document(
                        name,
                        1,
                        at,
                        customer_id="c1",
                        carrier="sf",
                        promised_at=format_instant(at + DAY_MS),
                        milestones={"DELIVERED": format_instant(at)},
                    )
                )
            )
            tier.write_events(log.events(accepted(name, str(number), at)))
        tier.flush(force=True)
    compaction = tier.compaction(CompactionSettings())
    list(compaction.run(compaction.plan()))
    return tier


@pytest.mark.parametrize("topic", [ORDERS_CHANGES, ORDERS_EVENTS])
@pytest.mark.parametrize("folder", ["archive", ".ordertide/archive"])
def test_pyarrow_reads_the_folder_as_it_lies(tmp_path: Path, topic: str, folder: str) -> None:
    fill(tmp_path / folder)
    table = pq.read_table(tmp_path / folder / topic)
    assert table.num_rows == 18
    assert len(set(table.column("order_id").to_pylist())) == 18
    days = [f"2017-10-0{day}" for day in (2, 3, 4)]
    assert {*table.column(DAY).to_pylist()} == {*days}
    filtered = pq.read_table(tmp_path / folder / topic, filters=[(DAY, "=", days[1])])
    assert filtered.num_rows == 6
    scanned = ds.dataset(tmp_path / folder / topic, partitioning="hive")
    assert scanned.count_rows(filter=ds.field("order_id") == "o1-4") == 1


def test_pandas_reads_the_folder_as_it_lies(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    fill(tmp_path)
    frame = pandas.read_parquet(tmp_path / ORDERS_CHANGES)
    assert len(frame) == 18
    assert str(frame["promised_at"].dtype) == "datetime64[ms, UTC]"


@pytest.mark.parametrize("glob", ["*/*.parquet", "**/*.parquet"])
def test_duckdb_reads_the_glob_without_quotes(tmp_path: Path, glob: str) -> None:
    fill(tmp_path)
    orders = read(tmp_path / ORDERS_CHANGES / glob)
    assert orders.columns == [*ORDER_COLUMNS.names, DAY]
    days = [date(2017, 10, day) for day in (2, 3, 4)]
    assert answers(
        orders,
        """
        SELECT arrival_day, count(*), max(carrier), min(order_json->>'$.attributes.note'),
               bool_and(promised_at > delivered_at)
        FROM archive WHERE lane = 'normal' AND customer_id = 'c1'
        GROUP BY arrival_day ORDER BY arrival_day
        """,
    ) == [(day, 6, "sf", "version 1", True) for day in days]
    events = read(tmp_path / ORDERS_EVENTS / glob)
    assert events.columns == [*EVENT_COLUMNS.names, DAY]
    assert answers(
        events,
        """
        SELECT status, count(*), min(event_at)::DATE FROM archive
        WHERE source_name = 'shop' AND origin_offset = 7 GROUP BY status
        """,
    ) == [("PAID", 18, date(2017, 10, 2))]


def answers(archive: duckdb.DuckDBPyRelation, query: str) -> list[tuple[object, ...]]:
    relation = archive.query("archive", query)
    assert relation is not None
    found: list[tuple[object, ...]] = relation.fetchall()
    return found


def read(glob: Path) -> duckdb.DuckDBPyRelation:
    """As `FROM 'glob'`, which finds the days by itself."""
    relation = duckdb.sql("FROM read_parquet($glob)", params={"glob": str(glob)})
    assert relation is not None
    return relation


def test_everything_else_is_out_of_the_way_of_readers(tmp_path: Path) -> None:
    """Spark, Hive, Trino and pyarrow leave out what begins with `_` or `.`."""
    fill(tmp_path)
    for topic in (ORDERS_CHANGES, ORDERS_EVENTS):
        for path in (tmp_path / topic).rglob("*"):
            parts = path.relative_to(tmp_path / topic).parts
            is_hidden = parts[0][0] in "_."
            assert is_hidden or parts[0].startswith(f"{DAY}=")
            assert path.is_dir() or (path.suffix == ".parquet") != is_hidden
    assert {path.name for path in tmp_path.iterdir()} == {
        ORDERS_CHANGES,
        ORDERS_EVENTS,
        ".unsealed",
    }


@pytest.mark.parametrize("schema", [EVENT_COLUMNS, ORDER_COLUMNS], ids=["events", "orders"])
def test_no_column_is_named_by_a_keyword(schema: pa.Schema) -> None:
    listed = duckdb.sql("SELECT keyword_name FROM duckdb_keywords()")
    assert listed is not None
    found = listed.fetchall()
    keywords = {name for (name,) in found} | RESERVED
    assert not keywords & {*schema.names, DAY}


def test_all_files_have_one_schema_whatever_their_rows_lack(tmp_path: Path) -> None:
    tier, log = archive(tmp_path), Log()
    tier.write_orders(log.changes(document("bare", created_at=None, milestones={}, status=None)))
    tier.flush(force=True)
    tier.write_orders(log.changes(document("full", 2, customer_id="c", carrier="sf")))
    tier.flush(force=True)
    schemas = {str(pq.read_schema(path)) for path in data_files(tmp_path, ORDERS_CHANGES)}
    assert len(schemas) == 1
    assert {row["customer_id"] for row in rows_of(tmp_path, ORDERS_CHANGES)} == {None, "c"}


def test_a_column_is_empty_where_the_document_has_no_instant(tmp_path: Path) -> None:
    tier = archive(tmp_path)
    tier.write_orders(Log().changes(document(promised_at="soon", created_at="")))
    tier.flush(force=True)
    (row,) = rows_of(tmp_path, ORDERS_CHANGES)
    assert (row["promised_at"], row["created_at"]) == (None, None)
    assert '"promised_at":"soon"' in str(row["order_json"])


def days_of(root: Path, topic: str) -> list[tuple[str, int]]:
    """(day, rows) of each file."""
    return [
        (path.parent.name.removeprefix(f"{DAY}="), pq.read_metadata(path).num_rows)
        for path in data_files(root, topic)
    ]


MIDNIGHT = parse_instant("2017-10-03T00:00:00.000Z")


def test_a_file_of_live_data_ends_with_the_day(tmp_path: Path) -> None:
    tier = archive(tmp_path)
    ats = [MIDNIGHT - 2, MIDNIGHT - 1, MIDNIGHT, MIDNIGHT + 1, MIDNIGHT - 1, MIDNIGHT + 2]
    tier.write_events(Log().events(*(accepted(f"o{n}", str(n), at) for n, at in enumerate(ats))))
    tier.flush(force=True)
    assert days_of(tmp_path, ORDERS_EVENTS) == [("2017-10-02", 2), ("2017-10-03", 4)]
    again = archive(tmp_path)
    assert again.resume_offset(ORDERS_EVENTS, 0) == 6
    assert not list(again.verify())


def test_a_file_of_recorded_history_may_span_days_and_lies_in_that_of_its_first_row(
    tmp_path: Path,
) -> None:
    tier = archive(tmp_path)
    ats = [START + day * DAY_MS for day in range(400)]
    tier.write_events(Log().events(*(accepted(f"o{n}", str(n), at) for n, at in enumerate(ats))))
    tier.flush(force=True)
    assert days_of(tmp_path, ORDERS_EVENTS) == [("2017-10-02", 400)]


def test_the_day_of_an_order_is_that_of_the_stream_clock_where_its_message_has_one(
    tmp_path: Path,
) -> None:
    def at_clock(record: OrderRecord, clock_at: int) -> OrderRecord:
        return msgspec.structs.replace(record, clock_at=clock_at)

    tier, log = archive(tmp_path), Log()
    (late,) = log.changes(document("late", updated_at=START))
    tier.write_orders([at_clock(late, START + 9 * DAY_MS)])
    tier.flush(force=True)
    assert days_of(tmp_path, ORDERS_CHANGES) == [("2017-10-11", 1)]


def test_the_same_records_lie_under_the_same_names_whenever_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = []
    for number, now_s in enumerate((0.0, 4_000_000_000.0)):
        monkeypatch.setattr("time.time", lambda now_s=now_s: now_s)
        root = tmp_path / str(number)
        fill(root)
        names.append(
            [
                path.relative_to(root)
                for topic in (ORDERS_CHANGES, ORDERS_EVENTS)
                for path in data_files(root, topic)
            ]
        )
    assert names[0] == names[1]


def test_the_queries_of_the_docs_are_answered(tmp_path: Path) -> None:
    fill(tmp_path)
    page = (DOCS / "operations.md").read_text("utf-8")
    section = page[page.index("\n## Archive\n") : page.index("\n## HDFS (archive)\n")]
    queries = re.findall(r'sql\("""(.+?)"""\)|```sql\n(.+?)```', section, re.DOTALL)
    assert len(queries) == 2
    for query in ("".join(pair) for pair in queries):
        relation = duckdb.sql(query.replace(".ordertide/archive", str(tmp_path)))
        assert relation is not None
        assert relation.count("*").fetchall() != [(0,)]
    call = r'read_table\(\s*"\.ordertide/archive/(.+?)", filters=(.+?)\s*\)\n'
    ((topic, filters),) = re.findall(call, section)
    ((name, operator, _),) = ast.literal_eval(filters)
    assert (name, operator) == (DAY, "=")
    days = pq.read_table(tmp_path / topic, filters=[(name, "=", "2017-10-02")])
    assert days.num_rows == 6


def test_the_docs_name_every_column() -> None:
    page = (DOCS / "operations.md").read_text("utf-8")
    for name in (*EVENT_COLUMNS.names, *ORDER_COLUMNS.names, DAY):
        assert f"`{name}`" in page
