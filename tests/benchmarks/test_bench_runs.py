"""The benchmarks measure what is there today: a change that breaks them shows here."""

import subprocess
import sys
from itertools import islice, pairwise
from pathlib import Path

import pytest

from benchmarks.core import short_lived
from benchmarks.events import LIVE_EVENTS, Traffic, to_json
from benchmarks.report import Section, put_sections
from schemas.event import Event, decode_event
from tests.support.stack import address

ROOT = Path(__file__).resolve().parents[2]

needs_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="memory and CPU time are read from /proc"
)


def run(*arguments: str) -> str:
    """Output of `python -m benchmarks`; its own log is in the failure."""
    command = [sys.executable, "-m", "benchmarks", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_linux
def test_the_quick_run_measures_memory_core_and_dataflow() -> None:
    printed = run("--quick")
    for section in ("machine", "memory", "core", "dataflow"):
        assert f"## {section}\n" in printed
    assert "| decode and write |" in printed


def test_the_profile_names_functions_of_the_core() -> None:
    assert "`core/" in run("profile", "--orders", "50", "--events", "10000", "--mode", "judge")


def test_blocks_are_one_message_a_partition_and_epoch() -> None:
    printed = run("blocks", "--events", "10000", "--rounds", "1")
    assert "| messages | 10,000 |" in printed
    assert "| blocks | 8 |" in printed  # two epochs, four partitions


@pytest.mark.stack
@pytest.mark.timeout(300)
def test_every_probe_is_seen_in_both_tiers_and_at_the_webhook() -> None:
    address("kafka")  # a machine without a stack may lack what servers need
    printed = run("latency", "--quick")
    for where in ("Redis", "Elasticsearch", "webhook"):
        rows = [line.split("|") for line in printed.splitlines() if f"| {where} |" in line]
        sent, never_seen = rows[0][3], rows[0][-2]
        assert (where, sent.strip(), never_seen.strip()) == (where, "20", "0")


@pytest.mark.stack
@pytest.mark.timeout(300)
def test_both_arms_of_the_transactions_are_measured() -> None:
    address("kafka")  # a machine without a stack may lack what servers need
    printed = run("transactions", "--quick")
    for arm in ("transactions", "none", "cost (median of pairs)"):
        assert f"| {arm} |" in printed


def test_a_seed_gives_the_same_messages_again() -> None:
    first, again, other = (
        [to_json(arrived) for arrived in islice(Traffic(50, seed).steady(), 500)]
        for seed in (1, 1, 2)
    )
    assert first == again != other


@pytest.mark.timeout(300)
def test_messages_are_events_of_about_300_bytes_with_their_arrival() -> None:
    for arrived in islice(Traffic(50, 1).steady(), 1_000):
        line = to_json(arrived)
        event = decode_event(line)
        assert isinstance(event, Event)
        assert event.recorded_at is not None
        assert event.order_id == arrived.event.order_id
        assert event.status_code in short_lived().index
        assert 300 <= len(line) <= 315


def test_the_fill_leaves_every_order_with_ten_events_or_at_a_stage_of_its_own() -> None:
    in_step = [a.event.order_id for a in Traffic(49, 1, is_staggered=False).fill()]
    counts = {order: in_step.count(order) for order in in_step}
    assert sum(count == LIVE_EVENTS for count in counts.values()) == 48  # one is stuck
    staggered = [a.event.order_id for a in Traffic(500, 1).fill()]
    counts = {order: staggered.count(order) for order in staggered}
    assert set(counts.values()) == set(range(1, LIVE_EVENTS + 1))
    assert 450 < len(counts) < 550


def test_arrivals_go_forward_and_duplicates_repeat_the_event_before() -> None:
    arrived = list(islice(Traffic(100, 1, duplicates=0.2).steady(), 5_000))
    assert all(a.at <= b.at for a, b in pairwise(arrived))
    repeated = sum(a is b for a, b in pairwise(arrived))
    assert 0.1 < repeated / len(arrived) < 0.25


def test_a_section_replaces_what_stands_between_its_markers(tmp_path: Path) -> None:
    path = tmp_path / "benchmarks.md"
    path.write_text("a\n<!-- core: begin -->\nold\n<!-- core: end -->\nb\n", "utf-8")
    put_sections(path, [Section("core", "new")])
    put_sections(path, [Section("core", "newer")])
    assert path.read_text("utf-8") == "a\n<!-- core: begin -->\nnewer\n<!-- core: end -->\nb\n"
    with pytest.raises(ValueError, match="no <!-- memory: begin -->"):
        put_sections(path, [Section("memory", "x")])
