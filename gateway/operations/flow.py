"""Flow of the installation: each consumer group with its lag and its rate.

Positions are those of the broker, so a process that stands still is seen without its help. A rate
needs two looks; the first page after a start has none.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from broker.connect import Connection
from broker.errors import BrokerFailed, TopicMissing
from broker.group_lags import GroupLag, GroupLags
from schemas.errors import Busy

RATE_OVER_S = 30.0  # the latest look that is older than this begins the rate
SLOW_S = 10.0  # of work ahead at the present rate
# The writer of the archive commits when it seals a file: a minute apart, by default.
STUCK_AFTER_S = 300.0

State = Literal["fine", "behind", "stuck", "never"]


class GroupFlow(NamedTuple):
    """Flow of a group: messages done and behind, and the rate (None before a second look).

    `behind_s` is the time that the lag takes at this rate. `stuck`: there was work at every look of
    five minutes or more, and none was done. `never`: the group has read nothing yet.
    """

    name: str
    done: int
    behind: int
    per_second: float | None
    behind_s: float | None
    state: State


class FlowSample(NamedTuple):
    """The groups in the sequence of the flow; `fault` is why their positions are unknown now."""

    groups: list[GroupFlow]
    fault: str


class Look(NamedTuple):
    """Positions of the groups at an instant (s of the steady clock)."""

    at_s: float
    lags: Mapping[str, GroupLag]


class Standstill(NamedTuple):
    """A group with work that has done so much since `since_s`, and nothing more."""

    done: int
    since_s: float


class Flow:
    """Looks at the groups (name → group and its topics) when it is asked; not thread-safe."""

    def __init__(
        self,
        connection: Connection,
        groups: Mapping[str, tuple[str, Sequence[str]]],
        steady_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create a flow that has seen nothing yet; each look opens its clients and closes them."""
        self._connection = connection
        self._groups = groups
        self._steady_s = steady_s
        self._looks: list[Look] = []
        self._still: dict[str, Standstill] = {}
        self._fault = ""

    def sample(self) -> FlowSample:
        """The flow now; takes as long as the broker takes to answer."""
        self._look(self._steady_s())
        return FlowSample([*map(self._flow, self._groups)] if self._looks else [], self._fault)

    def _look(self, now_s: float) -> None:
        try:
            with GroupLags(self._connection, dict(self._groups.values())) as lags:
                lags.look()
        except (Busy, TopicMissing, BrokerFailed) as error:
            self._fault = str(error)
            return
        self._fault = ""
        old = [look for look in self._looks if now_s - look.at_s > RATE_OVER_S]
        recent = [look for look in self._looks if now_s - look.at_s <= RATE_OVER_S]
        self._looks = [*old[-1:], *recent, Look(now_s, lags.of)]
        for group, lag in lags.of.items():
            since = self._still.pop(group, None)
            if lag.behind:
                is_same = since is not None and since.done == lag.done
                self._still[group] = since if is_same and since else Standstill(lag.done, now_s)

    def _flow(self, name: str) -> GroupFlow:
        group, _ = self._groups[name]
        first, last = self._looks[0], self._looks[-1]
        done, behind = last.lags[group].done, last.lags[group].behind
        rate = None
        if last.at_s > first.at_s:
            rate = max(0.0, (done - first.lags[group].done) / (last.at_s - first.at_s))
        behind_s = behind / rate if rate else None
        still = self._still.get(group)
        still_s = last.at_s - still.since_s if still else 0.0
        state = "never" if behind and not done else state_of(still_s, behind_s)
        return GroupFlow(name, done, behind, rate, behind_s, state)


def state_of(still_s: float, behind_s: float | None) -> State:
    """The state of a group that has done nothing of its work for `still_s`."""
    if still_s >= STUCK_AFTER_S:
        return "stuck"
    return "behind" if behind_s is not None and behind_s > SLOW_S else "fine"
