"""Sequence of the tests: xdist's workers end at the same time, and start few servers.

`--dist worksteal` gives each worker a share of consecutive tests. A worker that is done steals from
the end of another's share. So each share begins with tests that take minutes, and tests that share
a fixture, such as the servers of a module: whoever steals these starts the servers once more. Short
tests that need no such fixture come last.
"""

from collections.abc import Iterator
from itertools import islice

import pytest

from tests.support.watchdog import timeout_s

EVERYBODYS = ("", "tests")  # fixtures of plugins and of tests/conftest.py


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deal the tests to as many shares as there are workers; without workers they stay."""
    workers: int = getattr(config, "workerinput", {}).get("workercount", 1)
    if workers > 1:
        items[:] = dealt(items, workers, float(config.getini("timeout") or 0))


def dealt(items: list[pytest.Item], workers: int, limit_s: float) -> list[pytest.Item]:
    """The items in their new sequence.

    What has a limit of its own, above `limit_s`, takes long and is dealt first; then the other
    groups that share a fixture; then all others, until each share has its length.
    """
    groups: dict[str, list[pytest.Item]] = {}
    others: list[pytest.Item] = []
    for item in items:
        place = shared_at(item) or (item.nodeid if timeout_s(item) > limit_s else None)
        (groups.setdefault(place, []) if place else others).append(item)
    shares: list[list[pytest.Item]] = [[] for _ in range(workers)]
    longest_first = sorted(groups.values(), key=lambda group: (-limit_of(group), -len(group)))
    for number, group in enumerate(longest_first):
        share = shares[number % workers] if limit_of(group) > limit_s else min(shares, key=len)
        share.extend(group)
    rest = iter(others)
    for share, length in zip(shares, lengths(len(items), workers), strict=True):
        share.extend(islice(rest, max(0, length - len(share))))
    return [item for share in shares for item in share] + [*rest]


def limit_of(group: list[pytest.Item]) -> float:
    """The longest limit of a group."""
    return max(map(timeout_s, group))


def lengths(count: int, workers: int) -> Iterator[int]:
    """The lengths of xdist's shares: each worker's part of what is left."""
    for left in range(workers, 0, -1):
        yield count // left
        count -= count // left


def shared_at(item: pytest.Item) -> str | None:
    """The module or folder whose tests share a fixture of the item; None where it has none."""
    if not isinstance(item, pytest.Function):
        return None
    fixtures = item._fixtureinfo.name2fixturedefs.values()  # noqa: SLF001 - no public name tells a fixture's scope
    places = {each[-1].baseid for each in fixtures if each and each[-1].scope != "function"}
    return min(places.difference(EVERYBODYS), key=len, default=None)
