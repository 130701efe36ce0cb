"""Warnings about a Redis server's configuration or past that weaken the hot tier's guarantees."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from redis import Redis
from redis.exceptions import NoPermissionError

ASK_AGAIN = (
    "orders that changed just before are missing or older in the hot tier; a writer reads the "
    "topics again by itself, and look-ups query the warm tier as well until it has"
)


def cautions(servers: Sequence["Redis"]) -> Iterator[str]:
    """A sentence for each server's setting that can lose orders; a user without INFO gets one."""
    for server in servers:
        try:
            yield from cautions_of({**server.info("memory"), **server.info("persistence")})
        except NoPermissionError as error:
            yield f"Redis: what it does when it is full can't be checked: {error}; allow +info"


def cautions_of(info: Mapping[str, Any]) -> Iterator[str]:
    """The warnings that follow from INFO."""
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        yield (
            f"Redis: maxmemory-policy is {policy}: when it is full, orders go missing silently; "
            "set it to noeviction, then the writer waits instead"
        )
    if not info.get("aof_enabled"):
        yield (
            "Redis: no append-only file: after a restart orders are missing from the hot tier; "
            "set appendonly yes, or fill it again after a restart"
        )


def losses(noted: int | None, held: Sequence[float | None]) -> Iterator[str]:
    """A sentence if the slots hold less progress than we have noted in them ourselves."""
    if noted is None:
        return
    behind = sum(1 for watermark in held if watermark is None or watermark < noted)
    if behind:
        yield f"Redis has lost writes in {behind} of {len(held)} slots: {ASK_AGAIN}"
