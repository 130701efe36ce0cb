"""The sorter: spilled to disk or not, the same records in the same order."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from dataflows.replay.external_sort import Record, Sorter

records = st.lists(
    st.builds(
        Record,
        st.integers(0, 5),
        st.sampled_from(["", "shop", "wms"]),
        st.sampled_from(["", "e1", "e2", "é"]),
        st.binary(max_size=20),
        st.sampled_from(["a.ndjson", "b.ndjson"]),
        st.integers(1, 9),
    ),
    max_size=30,
)


def in_order(found: list[Record], run_bytes: int) -> list[Record]:
    sorter = Sorter(run_bytes)
    for record in found:
        sorter.add(record)
    return list(sorter.sorted())


@settings(max_examples=60)
@given(records, st.sampled_from([1, 500, 2_000]))
def test_a_spilled_sort_gives_what_a_sort_in_memory_gives(
    found: list[Record], run_bytes: int
) -> None:
    assert in_order(found, run_bytes) == sorted(found) == in_order(found, 10**9)


def test_the_runs_are_gone_when_all_has_been_read(rng: random.Random) -> None:
    sorter = Sorter(run_bytes=1_000)
    for number in range(50):
        sorter.add(Record(rng.randrange(99), "shop", str(number), b"{}", "f", number))
    assert len(sorter.runs) > 5
    paths = list(sorter.runs)
    assert len(list(sorter.sorted())) == 50
    assert not any(path.exists() for path in paths)
