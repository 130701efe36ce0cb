"""Memory that was freed goes back to the system."""

import sys
from pathlib import Path

import pytest

from telemetry.collector import give_back_memory

MIB = 1024 * 1024
BLOCK_BYTES, BLOCKS = 64 * 1024, 1_600  # each below the size that the allocator maps by itself


def resident_bytes() -> int:
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="malloc_trim is glibc's")
def test_freed_memory_below_a_block_in_use_is_given_back() -> None:
    blocks = [bytes([1]) * BLOCK_BYTES for _ in range(BLOCKS)]
    last = blocks[-1]  # keeps the heap from shrinking by itself
    del blocks
    held = resident_bytes()
    give_back_memory()
    assert held - resident_bytes() > 50 * MIB
    assert len(last) == BLOCK_BYTES
