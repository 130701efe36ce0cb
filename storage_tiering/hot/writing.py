"""Sending writes: each server its calls on one connection, and the replicas' word for them."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from redis import Redis
from redis.exceptions import AskError

from schemas.errors import Busy, OrdertideError
from storage_tiering.hot.errors import RETRY_AFTER_S, answers, execute
from storage_tiering.hot.keys import RECORDS_PER_SCRIPT, Call, SlotKeys
from storage_tiering.hot.servers import Servers


class Replicas(NamedTuple):
    """Number of replicas of each server that must have a write, and the time they get for it."""

    required: int
    timeout_ms: int


@contextmanager
def redis_errors(servers: Servers) -> Iterator[None]:
    """Raise Redis's errors in our words; after one, a cluster's map of nodes is not trusted."""
    try:
        with answers():
            try:
                yield
            except AskError as error:  # MovedError is one, too
                raise servers.redirect_error(error) from error
    except OrdertideError:
        servers.invalidate_slots()
        raise


def send(servers: Servers, calls: Iterable[Call], replicas: Replicas) -> list[Any]:
    """Write; done when every call was answered and the replicas have it. Returns the answers.

    They come by server, not in the order of the calls.

    Raises:
        Busy: some of it may have been written; do it all again. And as for `answers`.
    """
    answered: list[Any] = []
    with redis_errors(servers):
        for node, of_node in servers.group_by_node([*calls]):
            answered += send_to(node, of_node, replicas)
    return answered


def send_to(node: "Redis", calls: Sequence[Call], replicas: Replicas) -> list[Any]:
    """Send the calls to one server; its answers, in their order.

    WAIT is about the writes of its own connection, hence it ends the same pipeline.

    Raises:
        Busy: too few replicas have it.
    """
    with node.pipeline(transaction=False) as pipe:
        for call in calls:
            pipe.execute_command(*call.command)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        if replicas.required:
            pipe.wait(replicas.required, replicas.timeout_ms)
        answered = execute(pipe)
    if replicas.required and answered[-1] < replicas.required:
        reason = f"Redis: {answered[-1]} of {replicas.required} replicas have the batch"
        raise Busy(f"{reason}; the failing ones hold up the hot tier", RETRY_AFTER_S)
    return answered[: len(calls)]


def evaluation(script: str, keys: Sequence[str], arguments: Iterable[str | bytes | int]) -> Call:
    """A script's call. `keys` are of one slot.

    EVAL with the script, 1 kB a call, instead of EVALSHA: nothing has to be loaded again after a
    restart, a failover or SCRIPT FLUSH.
    """
    return Call(keys[0], ("EVAL", script, len(keys), *keys, *arguments))


def sweeps(
    script: str, slot: SlotKeys, index: str, limit_ms: int, members: Sequence[bytes]
) -> Iterator[Call]:
    """The calls of the sweep script that drop `members` where they are still too old."""
    for start in range(0, len(members), RECORDS_PER_SCRIPT):
        part = members[start : start + RECORDS_PER_SCRIPT]
        keys = [index, *(slot.order(member.decode()) for member in part)]
        yield evaluation(script, keys, (limit_ms, *part))
