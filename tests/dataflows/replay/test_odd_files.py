"""Files that expand or hold odd types: memory stays small, and a fault names file and column."""

import datetime as dt
import decimal
import gzip
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.instants import SECOND_MS, format_instant, parse_instant
from tests.support.recording import PAID, ROOT, lines, ordertide, replay
from tests.support.samples import rules_with_calendar

MEGABYTE = 1024 * 1024
PAID_AT = parse_instant(PAID["timestamp"])
MEASURED = """
import resource, subprocess, sys
code = subprocess.run([sys.executable, "run.py", "replay", *sys.argv[1:]], stdout=2).returncode
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
"""


def resident_mb(*arguments: object) -> int:
    """Peak memory of a replay in a fresh process."""
    command = [sys.executable, "-c", MEASURED, *map(str, arguments)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    code, taken = map(int, ran.stdout.split())
    assert code == 0, ran.stderr
    return taken


def one_line(path: Path, megabytes: int, end: bytes = b"\n") -> tuple[int, str]:
    """A file with a line of so many MB between two events; its size and hash."""
    digest = hashlib.sha256()
    with gzip.open(path, "wb", 1) as file:
        file.write(lines([PAID]))
        for _ in range(megabytes):
            digest.update(b"a\r" * (MEGABYTE // 2))
            file.write(b"a\r" * (MEGABYTE // 2))
        digest.update(b"a")
        file.write(b"a" + end + lines([{**PAID, "event_id": "e2", "status_code": "SHIPPED"}]))
    return megabytes * MEGABYTE + 1, digest.hexdigest()


def test_neither_rejected_lines_nor_a_long_line_are_held_in_memory(tmp_path: Path) -> None:
    small, many = tmp_path / "small.ndjson", tmp_path / "many.ndjson.gz"
    small.write_bytes(lines([PAID]))
    with gzip.open(many, "wb", 9) as file:
        for _ in range(6):
            file.write(b"{}\n" * 10_000)
    one_line(tmp_path / "long.ndjson.gz", 300)
    taken = {
        name: resident_mb(tmp_path / name, "--out", tmp_path / f"out-{name}")
        for name in ("small.ndjson", "many.ndjson.gz", "long.ndjson.gz")
    }
    # 60,000 lines took some 300 MB when they were held, the long line more than its 300 MB.
    assert max(taken.values()) < taken["small.ndjson"] + 100, taken


@pytest.mark.timeout(300)  # 120 MB of JSON
def test_facts_that_a_shard_rejects_are_not_held_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "full.ndjson.gz"
    with gzip.open(path, "wb", 1) as file:
        # One after the other: of one instant each would fold the whole history.
        for number in range(6_000):
            at = format_instant(PAID_AT + number * SECOND_MS)
            fact = {**PAID, "event_id": str(number), "timestamp": at, "note": "x" * 20_000}
            file.write(lines([fact]))
    # Some 350; 80 more if the rejected ones were held.
    assert resident_mb(path, "--out", tmp_path / "out", "--workers", "1") < 400
    rejected = (tmp_path / "out" / "rejected.ndjson").read_bytes().splitlines()
    codes = {json.loads(line)["code"] for line in rejected}
    assert (len(rejected), codes) == (4_000, {"order_history_full"})


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r\r\n"])
def test_a_line_over_the_limit_is_rejected_with_hash_size_and_place(
    tmp_path: Path, end: bytes
) -> None:
    path = tmp_path / "long.ndjson.gz"
    size_bytes, digest = one_line(path, 9, end)
    results = replay(tmp_path / "out", path)
    assert results.summary["events_read"] == 3
    assert results.rows("rejected") == [
        {
            "code": "too_large",
            "reason": f"{size_bytes} bytes; at most 512000 are taken",
            "file": str(path),
            "line": 2,
            "original": None,
            "sha256": digest,
            "size_bytes": size_bytes,
        }
    ]
    assert [order["status"] for order in results.rows("orders")] == ["SHIPPED"]


def test_a_long_last_line_without_an_end_is_rejected_as_well(tmp_path: Path) -> None:
    path = tmp_path / "open.ndjson"
    path.write_bytes(lines([PAID]) + b"x" * (5 * MEGABYTE))
    [row] = replay(tmp_path / "out", path).rows("rejected")
    assert (row["line"], row["size_bytes"]) == (2, 5 * MEGABYTE)
    assert row["sha256"] == hashlib.sha256(b"x" * (5 * MEGABYTE)).hexdigest()


def test_a_recording_that_cannot_be_read_to_its_end_leaves_no_rejected_file(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_bytes(b"{}\n")
    ran = ordertide("replay", tmp_path / "a.ndjson", tmp_path / "none", "--out", tmp_path / "out")
    assert ran.code == 2
    assert not (tmp_path / "out").exists()


# Offsets 0 and 1, then one byte that begins no character.
NO_TEXT = [pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")]
NAMED = {
    "event is a number": pa.table({"event": [1]}),
    "event is a struct": pa.table({"event": [{"a": 1}]}),
    "event is a list": pa.table({"event": [["{}"]]}),
    "event is a time": pa.table({"event": pa.array([1], pa.timestamp("us"))}),
    "event is a dictionary of numbers": pa.table({"event": pa.array([1]).dictionary_encode()}),
    "event is there twice": pa.table([pa.array(["{}"])] * 2, names=["event", "event"]),
    "time beyond Python's": pa.table({"bad": pa.array([2**62], pa.timestamp("us"))}),
    "time beyond Python's, in seconds": pa.table({"bad": pa.array([2**50], pa.timestamp("s"))}),
    "time before Python's": pa.table({"bad": pa.array([-(2**62)], pa.timestamp("us", "UTC"))}),
    "duration in ns": pa.table({"bad": pa.array([1], pa.duration("ns"))}),
    "time in ns within a list": pa.table({"bad": pa.array([[1]], pa.list_(pa.timestamp("ns")))}),
    "time in ns within a struct": pa.table(
        {"bad": pa.array([{"a": 1}], pa.struct([("a", pa.timestamp("ns"))]))}
    ),
    "a zone that isn't": pa.table({"bad": pa.array([1], pa.timestamp("us", "Moon/Base"))}),
    "text that is none": pa.table(
        {"bad": pa.Array.from_buffers(pa.string(), 1, [None, *NO_TEXT])}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMED)
def test_what_parquet_has_and_json_has_not_is_named_with_file_and_column(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / "odd.parquet"
    pq.write_table(NAMED[name], path)
    ran = ordertide("replay", path, "--out", tmp_path / "out")
    column = NAMED[name].schema.names[0]
    assert (ran.code, ran.err.count("\n")) == (2, 1), ran.err
    assert ran.err.startswith(f"ordertide: {path}: can't be read: column '{column}' "), ran.err


COLUMNS = {name: pa.array([value]) for name, value in PAID.items()}
TAKEN: dict[str, dict[str, pa.Array]] = {  # type: ignore[type-arg]  # of any kind
    "decimals": {"weight": pa.array([decimal.Decimal("2.50")])},
    "dates": {"on": pa.array([dt.date(2026, 3, 1)])},
    "lists of lists": {"boxes": pa.array([[[1, 2], [3]]])},
    "structs": {"location": pa.array([{"name": "Kyiv", "lat": 50.4, "lon": 30.5}])},
    "dictionaries": {"status_code": pa.array(["PAID"]).dictionary_encode()},
    "plain bytes": {"order_id": pa.array([b"o1"])},
    "large texts": {"order_id": pa.array(["o1"], pa.large_string())},
    "nothing": {"waybill": pa.nulls(1), "customer_id": pa.array([None], pa.string())},
    "times in ns": {"timestamp": pa.array([1_772_323_200_000_000_000], pa.timestamp("ns", "UTC"))},
    "durations in us": {"took": pa.array([1], pa.duration("us"))},
    "bytes that are no text": {"picture": pa.array([b"\xff\xd8"])},
}


@pytest.mark.parametrize("name", TAKEN)
def test_types_that_have_a_meaning_in_json_are_taken(tmp_path: Path, name: str) -> None:
    path = tmp_path / "events.parquet"
    pq.write_table(pa.table({**COLUMNS, **TAKEN[name]}), path)
    results = replay(tmp_path / "out", path)
    assert [(order["order_id"], order["status"]) for order in results.rows("orders")] == [
        ("o1", "PAID")
    ]


@pytest.mark.parametrize("kind", [pa.string(), pa.binary(), pa.large_string(), pa.null()])
def test_events_come_as_text_or_bytes_or_not_at_all(tmp_path: Path, kind: pa.DataType) -> None:
    path = tmp_path / "events.parquet"
    event = None if pa.types.is_null(kind) else json.dumps(PAID)
    pq.write_table(pa.table({"event": pa.array([event], kind)}), path)
    results = replay(tmp_path / "out", path)
    assert results.summary["events_read"] == 1
    assert results.summary["orders"] == (event is not None)


def test_a_deadline_outside_its_calendar_is_named_on_the_terminal(tmp_path: Path) -> None:
    rules, events = tmp_path / "rules.toml", tmp_path / "events.ndjson"
    rules.write_text(rules_with_calendar(2025, 2025), "utf-8")
    more = {**PAID, "order_id": "o2", "timestamp": "2025-12-01T00:00:00Z"}
    events.write_bytes(lines([PAID, {**PAID, "order_id": "o3"}, more]))
    for workers in (1, 2):
        out = tmp_path / f"out-{workers}"
        ran = ordertide("replay", events, "--rules", rules, "--workers", workers, "--out", out)
        assert ran.code == 0
        assert ran.err == (
            "rule ship: never due for 2 orders: its deadline is outside the years of "
            "calendar.office (2025 to 2025); name more years there\n"
        )
