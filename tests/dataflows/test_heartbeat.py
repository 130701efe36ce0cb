"""Every partition of orders.changes gets the watermark, however many there are."""

from hypothesis import given
from hypothesis import strategies as st

from dataflows.core.routing import SHARDS
from dataflows.sink import heartbeat_partitions


@given(st.integers(1, 500))
def test_all_shards_together_reach_every_partition_and_none_is_idle(partitions: int) -> None:
    reached = [list(heartbeat_partitions(shard, partitions)) for shard in range(len(SHARDS))]
    assert set().union(*reached) == set(range(partitions))
    assert all(reached)
    assert sum(map(len, reached)) == max(partitions, len(SHARDS))
