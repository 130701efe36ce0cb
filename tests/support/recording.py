"""Recordings in files of every kind, and `ordertide replay` over them."""

import gzip
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from commands.main import main
from tests.support.left_behind import given_back

Json = dict[str, Any]

PAID: Json = {
    "event_id": "e1",
    "source": "shop",
    "order_id": "o1",
    "status_code": "PAID",
    "timestamp": "2026-03-01T00:00:00Z",
}

EXACT = ("orders", "alerts", "actions", "audit")
ROOT = Path(__file__).resolve().parents[2]


class Ran(NamedTuple):
    """Exit code and output of a command."""

    code: int
    out: str
    err: str


def ordertide(*arguments: object) -> Ran:
    """Run the command line in this process, from its entry point on."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        taken_over(),
        pytest.MonkeyPatch.context() as patch,
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        patch.setattr(sys, "argv", ["ordertide", *map(str, arguments)])
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Ran(code, out.getvalue(), err.getvalue())


@contextmanager
def taken_over() -> Iterator[None]:
    """Give back what the entry point takes over of its process."""
    hook, umask = sys.excepthook, os.umask(0o077)
    os.umask(umask)
    try:
        with given_back():
            yield
    finally:
        os.umask(umask)
        sys.excepthook = hook


class Results:
    """The folder that a replay wrote."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def rows(self, name: str) -> list[Json]:
        """The rows of a table."""
        text = (self.folder / f"{name}.ndjson").read_text("utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def order(self, order_id: str) -> Json:
        """The one order with this id."""
        (found,) = [row for row in self.rows("orders") if row["order_id"] == order_id]
        return found

    def told(self, rule: str) -> list[tuple[str, str]]:
        """(state, at) of the alerts of a rule."""
        return [(row["state"], row["at"]) for row in self.rows("alerts") if row["rule"] == rule]

    @property
    def summary(self) -> Json:
        """The figures."""
        found: Json = json.loads((self.folder / "summary.json").read_text("utf-8"))
        return found

    def exact(self) -> dict[str, bytes]:
        """Results that must be the same bytes for the same set of events."""
        return {name: (self.folder / f"{name}.ndjson").read_bytes() for name in EXACT}


def replay(out: Path, *arguments: object) -> Results:
    """Replay, which has to succeed and to account for every message."""
    ran = ordertide("replay", *arguments, "--out", out)
    assert ran.code == 0, ran
    results = Results(out)
    assert is_conserved(results.summary), results.summary
    assert len(results.rows("rejected")) == results.summary["events_rejected"]
    return results


def is_conserved(summary: Json) -> bool:
    """Messages read = ticks + applied + duplicate + refused + rejected + waiting."""
    ends = ("applied", "duplicate", "refused", "rejected", "waiting")
    became = summary["ticks"] + sum(summary[f"events_{end}"] for end in ends)
    return bool(summary["events_read"] == became)


def line_of(event: Json) -> bytes:
    """An event as a line."""
    return json.dumps(event, ensure_ascii=False).encode() + b"\n"


def lines(events: Iterable[Json]) -> bytes:
    """Events as NDJSON."""
    return b"".join(map(line_of, events))


def written(path: Path, events: Sequence[Json]) -> Path:
    """Write events into a file of the kind that its name ends with."""
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(lines(events)))
    elif path.suffix == ".zst":
        path.write_bytes(zstandard.compress(lines(events)))
    elif path.suffix == ".parquet":
        texts = [line_of(event).decode().rstrip() for event in events]
        pq.write_table(pa.table({"event": pa.array(texts, pa.string())}), path)
    else:
        path.write_bytes(lines(events))
    return path
