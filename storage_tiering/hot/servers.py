"""Servers of the hot tier: one Redis, or a cluster of them."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Protocol

from redis import Redis
from redis.client import Pipeline
from redis.cluster import ClusterPipeline, RedisCluster
from redis.exceptions import AskError

from schemas.errors import Busy, OrdertideError, SettingsError
from storage_tiering.hot.errors import RETRY_AFTER_S
from storage_tiering.hot.keys import Call

ForNode = tuple["Redis", list[Call]]


class Servers(Protocol):
    """One Redis or a cluster: where reads and writes go."""

    def pipeline(self) -> "Pipeline | ClusterPipeline":
        """For reading, wherever the keys are."""
        ...

    def group_by_node(self, calls: Sequence[Call]) -> list[ForNode]:
        """The calls that each server gets, on one connection each."""
        ...

    def primaries(self) -> list["Redis"]:
        """A client of each server that is written to."""
        ...

    def redirect_error(self, error: AskError) -> OrdertideError:
        """The error for a redirect to another server."""
        ...

    def invalidate_slots(self) -> None:
        """Drop the slot map after an error; it is queried again before the next request."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


class Single(Servers):
    """One server, which holds everything."""

    def __init__(self, client: "Redis") -> None:
        self.client = client

    def pipeline(self) -> "Pipeline":
        return self.client.pipeline(transaction=False)

    def group_by_node(self, calls: Sequence[Call]) -> list[ForNode]:
        return [(self.client, [*calls])] if calls else []

    def primaries(self) -> list["Redis"]:
        return [self.client]

    def redirect_error(self, error: AskError) -> OrdertideError:
        """We aren't where we think we are."""
        return SettingsError(
            f"this is a node of a Redis Cluster ({error}): set [hot] cluster = true"
        )

    def invalidate_slots(self) -> None:
        """No slot map to drop: there is only one server."""

    def close(self) -> None:
        self.client.close()


class Cluster(Servers):
    """The nodes of a Redis Cluster, discovered by `open_cluster` with the first request.

    Reads go through redis-py's pipeline, which follows slots that move. Writes go to each node on
    one connection and follow nothing: a redirected write can't be waited for together with the
    rest, so a batch that meets a moved slot is `Busy` and is retried as a whole, with a new map.
    """

    def __init__(self, open_cluster: Callable[[], RedisCluster]) -> None:
        self._open_cluster = open_cluster
        self._opened: RedisCluster | None = None
        self._is_outdated = False

    def pipeline(self) -> ClusterPipeline:
        # redis-py's cluster client has annotations here and there; what it lacks is ignored below.
        pipe: ClusterPipeline = self._cluster().pipeline(transaction=False)  # type: ignore[no-untyped-call]  # as said
        return pipe

    def group_by_node(self, calls: Sequence[Call]) -> list[ForNode]:
        cluster = self._cluster()
        of_node: dict[str, list[Call]] = defaultdict(list)
        nodes = {}
        for call in calls:
            node = cluster.get_node_from_key(call.key)  # type: ignore[no-untyped-call]  # as said
            nodes[node.name] = node
            of_node[node.name].append(call)
        return [(cluster.get_redis_connection(nodes[name]), of_node[name]) for name in nodes]

    def primaries(self) -> list["Redis"]:
        cluster = self._cluster()
        nodes = cluster.get_primaries()  # type: ignore[no-untyped-call]  # as said
        return [cluster.get_redis_connection(node) for node in nodes]

    def redirect_error(self, error: AskError) -> OrdertideError:
        return Busy(f"Redis: keys are moving to another node: {error}", RETRY_AFTER_S)

    def invalidate_slots(self) -> None:
        self._is_outdated = True

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()

    def _cluster(self) -> RedisCluster:
        if self._opened is None:
            self._opened = self._open_cluster()
        elif self._is_outdated:
            self._opened.nodes_manager.initialize()
        self._is_outdated = False
        return self._opened
