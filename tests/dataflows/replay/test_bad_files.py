"""Files that can't be read, arguments that can't be meant, values that would break what follows.

Single bad lines are in test_bad_input.py.
"""

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from dataflows.core.lifecycle import LifecycleFile
from tests.support.recording import (
    PAID,
    ROOT,
    Json,
    is_conserved,
    lines,
    ordertide,
    replay,
    written,
)

KEYS_OF_A_LIFECYCLE = ", ".join(LifecycleFile.__struct_fields__)
PACKED = gzip.compress(lines([PAID | {"event_id": str(number)} for number in range(99)]))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("torn.ndjson.gz", PACKED[:-9]),
        ("rotten.ndjson.gz", PACKED[:30] + b"\xff" * 40 + PACKED[70:]),
        ("plain.ndjson.gz", lines([PAID])),
        ("plain.ndjson.zst", lines([PAID])),
        ("rotten.ndjson.zst", zstandard.compress(lines([PAID]))[:-3] + b"\xff\xff\xff"),
        ("plain.parquet", lines([PAID])),
        ("empty.parquet", b""),
        ("torn.parquet", b"PAR1" + b"\x00" * 50 + b"PAR1"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_in_one_line(
    tmp_path: Path, name: str, data: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    ran = ordertide("replay", path, "--out", tmp_path / "out")
    assert ran.code == 2
    assert ran.err.startswith(f"ordertide: {path}: can't be read: ")
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize("name", ["empty.ndjson", "empty.ndjson.gz", "empty.ndjson.zst"])
def test_an_empty_file_holds_no_events(tmp_path: Path, name: str) -> None:
    results = replay(tmp_path / "out", written(tmp_path / name, []))
    assert results.summary["events_read"] == 0
    assert (results.summary["first_event_at"], results.summary["orders"]) == (None, 0)
    assert set(results.exact().values()) == {b""}


def test_blank_lines_and_dos_line_ends_are_no_events(tmp_path: Path) -> None:
    path = tmp_path / "dos.ndjson"
    path.write_bytes(b"\r\n" + lines([PAID]).replace(b"\n", b"\r\n") + b"  \n\n")
    assert replay(tmp_path / "out", path).summary["events_read"] == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{events}"], "Missing option '--out'"),
        (["--out", "{out}"], "Missing argument 'FILES...'"),
        (["{events}", "--out", "{out}", "--wrong"], "No such option"),
        (["{events}", "--out", "{out}", "--workers", "0"], "--workers"),
        (["{events}", "--out", "{out}", "--workers", "many"], "--workers"),
        (["{events}", "--out", "{events}"], "--out"),
        (
            ["{events}", "--out", "{out}", "--until", "soon"],
            "--until: 'soon' is no instant; ",
        ),
        (["{events}", "--out", "{out}", "--until", "2026-03-01T00:00:00"], "has no UTC offset"),
        (["{nowhere}", "--out", "{out}"], "No such file or directory"),
        (["{folder}", "--out", "{out}"], "Is a directory"),
        (["{events}", "--out", "{out}", "--rules", "{nowhere}"], "No such file or directory"),
        (["{events}", "--out", "{out}", "--lifecycle", "{nowhere}"], "No such file or directory"),
        (["{events}", "--out", "{out}", "--rules", "{rules}"], "bad.toml:5: rule bad: anchor: "),
    ],
)
def test_a_bad_argument_is_exit_code_2_and_one_clear_line(
    tmp_path: Path, arguments: list[str], words: str
) -> None:
    (tmp_path / "bad.toml").write_text(
        'version = 1\n[[rule]]\nid = "bad"\nstatuses = ["PAID"]\nanchor = "birth"\n'
        'severity = "warning"\n'
    )
    places = {
        "events": written(tmp_path / "e.ndjson", [PAID]),
        "out": tmp_path / "out",
        "nowhere": tmp_path / "nowhere",
        "folder": tmp_path,
        "rules": tmp_path / "bad.toml",
    }
    ran = ordertide("replay", *(argument.format(**places) for argument in arguments))
    assert ran.code == 2
    last = ran.err.splitlines()[-1]
    assert last.startswith(("ordertide: ", "Error: "))
    assert words in last


def test_a_file_that_is_no_lifecycle_is_a_line_for_each_of_its_faults(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text("version = 1\n[[rule]]\nid = 'x'\n")
    events = written(tmp_path / "e.ndjson", [PAID])
    ran = ordertide("replay", events, "--out", tmp_path / "out", "--lifecycle", path)
    assert ran.code == 2
    assert ran.err.splitlines() == [
        f"ordertide: {path}:1: name is missing; write a text, in quotes",
        f"{path}:1: status is missing; write a list, in [ ]",
        f"{path}:2: rule: unknown key; known: {KEYS_OF_A_LIFECYCLE}",
    ]
    assert "Traceback" not in ran.err


def test_standard_input_is_a_file_like_any_other(tmp_path: Path) -> None:
    command = [sys.executable, "run.py", "replay", "-", "--out", str(tmp_path / "out")]
    ran = subprocess.run(
        command, cwd=ROOT, input=lines([PAID]), capture_output=True, check=False, timeout=60
    )
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert ran.stdout.startswith(b"1 event, 1 order, 0 alerts, ")


BREAKING: dict[str, tuple[Json, str, str]] = {
    "waybill over 64 bits": (
        {"waybill": 2**64},
        "invalid_number",
        "waybill: 18446744073709551616 is over 64 bits",
    ),
    "400 parcels": (
        {"references": {"waybill": [f"W{number}" for number in range(400)]}},
        "too_many_shipments",
        "the order would have 401 parcels; at most 250 are taken",
    ),
    "half a character": ({"remark": "\ud800"}, "malformed_json", "half a surrogate pair"),
}


@pytest.mark.parametrize("name", BREAKING)
def test_a_value_that_would_break_what_follows_is_rejected(tmp_path: Path, name: str) -> None:
    changed, code, words = BREAKING[name]
    path = tmp_path / "e.ndjson"
    bad = PAID | {"event_id": "bad", "order_id": "o2"} | changed
    events = [PAID, bad, PAID | {"event_id": "e3"}]
    path.write_text("\n".join(map(json.dumps, events)), encoding="ascii")
    results = replay(tmp_path / "out", path)
    (rejected,) = results.rows("rejected")
    assert (rejected["code"], rejected["line"]) == (code, 2)
    assert words in rejected["reason"]
    assert results.summary["events_applied"] == 2
    assert [row["order_id"] for row in results.rows("orders")] == ["o1"]


def test_a_large_original_is_told_by_its_hash_and_size(tmp_path: Path) -> None:
    path = written(tmp_path / "e.ndjson", [PAID | {"remark": "x" * 1_000_000}])
    (rejected,) = replay(tmp_path / "out", path).rows("rejected")
    assert rejected["original"] is None
    assert rejected["size_bytes"] == path.stat().st_size - 1
    assert len(rejected["sha256"]) == 64


def test_an_original_that_is_no_text_is_kept_as_base64(tmp_path: Path) -> None:
    path = tmp_path / "e.ndjson"
    path.write_bytes(b"\xff\xfe\n")
    (rejected,) = replay(tmp_path / "out", path).rows("rejected")
    assert (rejected["original"], rejected["original_base64"]) == (None, "//4=")


def test_columns_of_a_parquet_file_are_the_fields_of_an_event(tmp_path: Path) -> None:
    path = tmp_path / "columns.parquet"
    columns: dict[str, Any] = {name: [value, value] for name, value in PAID.items()}
    columns["event_id"] = ["e1", "e2"]
    columns["timestamp"] = pa.array([1_772_323_200_000_000_001, None], pa.timestamp("ns", tz="UTC"))
    columns["remark"] = [None, b"\xff"]
    pq.write_table(pa.table(columns), path)
    results = replay(tmp_path / "out", path)
    assert results.order("o1")["milestones"] == {"PAID": "2026-03-01T00:00:00.000Z"}
    (rejected,) = results.rows("rejected")
    assert (rejected["code"], rejected["line"]) == ("invalid_event", 2)
    assert "timestamp is missing" in rejected["reason"]


def test_what_lies_behind_until_is_left_out_and_counted(tmp_path: Path) -> None:
    late = PAID | {"event_id": "e2", "timestamp": "2026-03-02T00:00:00.001Z"}
    path = written(tmp_path / "e.ndjson", [PAID, late])
    summary = replay(tmp_path / "out", path, "--until", "2026-03-02T00:00:00Z").summary
    assert (summary["events_read"], summary["events_after_until"]) == (1, 1)
    assert summary["events_applied"] == 1
    assert is_conserved(summary)
