"""New rules or a new lifecycle: every live order is settled once."""

from dataflows.core.fold import opened, refold
from dataflows.core.output import Output
from dataflows.core.shard import Shard


def reevaluate(shard: Shard) -> Output:
    """Settle every live order by what is in force now; `at` is the clock."""
    out = Output(shard.desk)
    for key in list(shard.held.orders):
        order = opened(key, shard.held.orders[key], shard.table)
        version = order.version
        refold(order, shard.table)
        order.armed_at = 0
        next_at, retired = shard.settle(order, shard.through, shard.through, out)
        shard.held.put(order, next_at, shard.through, retired=retired)
        shard.publish(order, version, retired=retired, out=out)
    return out
