"""The same set of events gives the same bytes, in whatever way it was recorded."""

import random
import subprocess
import sys
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataflows.replay.external_sort import Sorter
from examples.olist import adapter as olist
from schemas.instants import DAY_MS, format_instant
from tests.dataflows.replay.test_carrier_push import STO, pushed, shop_order
from tests.support import generators
from tests.support.generators import START_AT
from tests.support.recording import EXACT, ROOT, Json, Results, replay, written

KINDS = (".ndjson", ".ndjson.gz", ".ndjson.zst", ".parquet")
UNTIL = ("--until", "2018-12-31T00:00:00Z")


def questions() -> st.SearchStrategy[list[Json]]:
    """Scans that name a waybill only; the generators' orders have A and B."""
    instants = generators.instants()
    scans = st.builds(
        lambda at, lag_ms, waybill: {
            "waybill": waybill,
            "source": "carrier:sf",
            "status_code": "SCAN",
            "timestamp": format_instant(at),
            "recorded_at": format_instant(at + lag_ms),
        },
        instants,
        st.sampled_from([0, DAY_MS, 24 * DAY_MS]),
        st.sampled_from(["A", "B", "C"]),
    )
    return st.lists(scans, max_size=4).map(
        lambda found: [{"event_id": f"q{n}", **scan} for n, scan in enumerate(found)]
    )


@st.composite
def recordings(draw: st.DrawFn) -> list[Json]:
    """Orders with all their troubles, scans of their parcels, a tick."""
    tick = {"kind": "tick", "recorded_at": format_instant(START_AT + DAY_MS)}
    return [*draw(generators.event_sets()), *draw(questions()), tick]


@st.composite
def shuffled_into_files(draw: st.DrawFn, events: list[Json]) -> list[tuple[str, list[Json]]]:
    """The events in another sequence, some twice, cut into files of all kinds."""
    lines = draw(generators.permuted(events, max_copies=4))
    places = [draw(st.integers(0, len(KINDS) - 1)) for _ in lines]
    return [
        (f"{number}{kind}", [e for e, place in zip(lines, places, strict=True) if place == number])
        for number, kind in enumerate(KINDS)
    ]


def rejections(results: Results) -> set[tuple[str, str]]:
    """Rejections with their reasons, apart from file and line."""
    return {(row["reason"], row["original"]) for row in results.rows("rejected")}


@settings(max_examples=25)
@given(st.data())
def test_shuffled_repeated_and_split_lines_give_the_same_bytes(data: st.DataObject) -> None:
    events = data.draw(recordings())
    files = data.draw(shuffled_into_files(events))
    with TemporaryDirectory() as name:
        folder = Path(name)
        plain = replay(folder / "plain", written(folder / "all.ndjson", events), *UNTIL)
        paths = [written(folder / file, found) for file, found in files]
        split = replay(folder / "split", *paths, *UNTIL)
        assert split.exact() == plain.exact()
        assert rejections(split) == rejections(plain)


@settings(max_examples=15)
@given(st.data())
def test_a_spilled_sort_gives_the_same_bytes(data: st.DataObject) -> None:
    events = data.draw(recordings())
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        path = written(folder / "all.ndjson", events)
        in_memory = replay(folder / "memory", path, *UNTIL)
        patch.setattr("commands.replay.Sorter", partial(Sorter, run_bytes=1_500))
        assert replay(folder / "spilled", path, *UNTIL).exact() == in_memory.exact()


@settings(max_examples=25)
@given(st.data())
def test_how_often_the_clock_moves_changes_no_byte(data: st.DataObject) -> None:
    """Batches are cut by count: a repeated line moves all later cuts."""
    events = data.draw(recordings())
    batch = data.draw(st.integers(1, 3))
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        path = written(folder / "all.ndjson", events)
        at_once = replay(folder / "once", path, *UNTIL)
        patch.setattr("dataflows.replay.recording.BATCH", batch)
        often = replay(folder / "often", path, *UNTIL)
        assert often.exact() == at_once.exact()
        assert rejections(often) == rejections(at_once)


@pytest.fixture
def mixed(rng: random.Random) -> list[Json]:
    """250 orders of Olist, the STO push with its order, and shop scans of unknown parcels."""
    orders = list(olist.events())
    chosen = set(rng.sample(sorted({event["order_id"] for event in orders}), 250))
    events = [event for event in orders if event["order_id"] in chosen]
    return [*events, shop_order(STO, "2015-12-31T10:00:00Z"), *pushed(STO)]


def test_one_worker_or_three_give_the_same_bytes(
    tmp_path: Path, mixed: list[Json], rng: random.Random
) -> None:
    plain = replay(tmp_path / "one", written(tmp_path / "all.ndjson", mixed), *UNTIL)
    lines = mixed + rng.sample(mixed, 50)
    rng.shuffle(lines)
    numbers = count()
    paths = [
        written(tmp_path / f"{next(numbers)}{kind}", lines[place :: len(KINDS)])
        for place, kind in enumerate(KINDS)
    ]
    command = [sys.executable, "run.py", "replay", *map(str, paths), *UNTIL]
    command += ["--workers", "3", "--out", str(tmp_path / "three")]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=100)
    three = Results(tmp_path / "three")
    assert three.exact() == plain.exact()
    assert three.summary["events_duplicate"] == 50
    same = ("orders_by_status", "orders_by_lane", "flags", "actions_by_kind", "events_applied")
    assert [three.summary[name] for name in same] == [plain.summary[name] for name in same]


def test_there_is_something_to_compare(tmp_path: Path, mixed: list[Json]) -> None:
    results = replay(tmp_path / "out", written(tmp_path / "all.ndjson", mixed), *UNTIL)
    assert all(results.exact()[name] for name in EXACT)


def test_rivals_with_personal_data_are_decided_alike_whatever_the_keys(tmp_path: Path) -> None:
    """Each replay has its own keys: the sealed bytes differ, the winner must not."""
    rivals = [
        {
            "event_id": "e1",
            "order_id": f"o{number}",
            "source": "shop",
            "status_code": status,
            "timestamp": "2018-01-01T00:00:00Z",
            "personal": {"name": "Li Ming"},
        }
        for number in range(8)
        for status in ("PAID", "PENDING_PAYMENT")
    ]
    path = written(tmp_path / "rivals.ndjson", rivals)
    one, other = replay(tmp_path / "one", path), replay(tmp_path / "other", path)
    assert one.exact() == other.exact()
    assert {tuple(row["flags"]) for row in one.rows("orders")} == {("conflicting_duplicate",)}
