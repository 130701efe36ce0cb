"""A wall clock that is set while a batch is made doesn't put the next one off."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dataflows.pacing import Pacing
from tests.support.host_clock import HostClock

GRID_MS = 200
HOUR_MS = 3_600_000

# A source of bytewax whose clock is set three hours ahead during its third batch.
FLOW = """
import struct
import sys
import bytewax.operators as op
from bytewax.connectors.stdio import StdOutSink
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.testing import run_main
from dataflows.pacing import Pacing

class Part(StatefulSourcePartition):
    def __init__(self):
        self.pacing, self.batches = Pacing(20), 0
    def next_batch(self):
        self.batches += 1
        if self.batches == 3:
            with open(sys.argv[1], "r+b", buffering=0) as file:
                file.write(struct.pack("q", 3 * 3600))
        if self.batches > 6:
            raise StopIteration
        return [str(self.batches)]
    def next_awake(self):
        return self.pacing.next_awake(is_busy=False)
    def snapshot(self):
        return None

class Source(FixedPartitionedSource):
    def list_parts(self):
        return ["one"]
    def build_part(self, step_id, for_part, resume_state):
        return Part()

flow = Dataflow("paced")
op.output("out", op.input("in", flow, Source()), StdOutSink())
run_main(flow)
"""


class Clocks:
    """A wall clock that can be set, and one that can't (ms)."""

    def __init__(self, wall: int) -> None:
        self.wall, self.monotonic = wall, 5_000

    def pass_ms(self, duration_ms: int) -> None:
        self.wall += duration_ms
        self.monotonic += duration_ms


@pytest.fixture
def clocks() -> Clocks:
    return Clocks(1_000_050)


@pytest.fixture
def pacing(clocks: Clocks) -> Pacing:
    return Pacing(GRID_MS, lambda: clocks.wall, lambda: clocks.monotonic)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[HostClock]:
    with HostClock(tmp_path) as clock:
        yield clock


def at(instant_ms: int) -> datetime:
    return datetime.fromtimestamp(instant_ms / 1000, UTC)


def test_a_batch_is_due_at_the_next_point_of_the_grid_or_at_once(
    pacing: Pacing, clocks: Clocks
) -> None:
    assert pacing.next_awake(is_busy=False) == at(1_000_200)
    clocks.pass_ms(150)
    assert pacing.next_awake(is_busy=False) == at(1_000_400)
    clocks.pass_ms(7_000)
    assert pacing.next_awake(is_busy=True) == at(1_007_200)


def test_a_clock_set_ahead_during_a_batch_puts_nothing_off(pacing: Pacing, clocks: Clocks) -> None:
    clocks.pass_ms(30)
    before = clocks.wall
    clocks.wall += 3 * HOUR_MS
    assert pacing.next_awake(is_busy=False) == at(before)
    clocks.pass_ms(1)
    assert pacing.next_awake(is_busy=False) == at((clocks.wall // GRID_MS + 1) * GRID_MS)


def test_bytewax_goes_on_when_the_clock_is_set_ahead_during_a_batch(
    host: HostClock, tmp_path: Path
) -> None:
    found = subprocess.run(
        [sys.executable, "-c", FLOW, str(tmp_path / "wrong_s")],
        env={**os.environ, **host.environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert found.stdout.split() == ["1", "2", "3", "4", "5", "6"]
