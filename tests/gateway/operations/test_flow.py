"""Flow of an installation: lags and rates of its groups, by the broker alone."""

import pytest

from broker.embedded import EmbeddedBroker
from broker.group import GroupReader
from broker.produce import Producer
from commands.wiring.process import now_ms
from gateway.operations.flow import (
    RATE_OVER_S,
    STUCK_AFTER_S,
    Flow,
    State,
    state_of,
)
from gateway.operations.operations import Operations
from schemas.topics import EVENTS

LOOK_AFTER_S = 5.0
GROUPS = {"track": ("ordertide", (EVENTS,))}


class Steady:
    """A steady clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_rate_needs_two_looks_and_a_group_that_does_nothing_stands_still() -> None:
    steady = Steady()
    with EmbeddedBroker() as broker:
        broker.create(EVENTS)
        flow = Flow(broker.connection, GROUPS, steady)
        with Producer(broker.connection) as producer:
            for number in range(30):
                producer.send(EVENTS, str(number).encode(), b"{}")
        (group,) = flow.sample().groups
        assert (group.behind, group.per_second, group.state) == (30, None, "never")
        reader = GroupReader(broker.connection, "ordertide", [EVENTS])
        read = 0
        while read < 20:
            messages = reader.read(20 - read, timeout_s=1)
            read += len(messages)
        reader.commit()
        reader.close()
        steady.now_s += LOOK_AFTER_S
        (group,) = flow.sample().groups
        assert (group.done, group.behind, group.per_second) == (20, 10, 20 / LOOK_AFTER_S)
        assert (group.behind_s, group.state) == (10 / (20 / LOOK_AFTER_S), "fine")
        for _ in range(2):
            steady.now_s += RATE_OVER_S + 1
            (group,) = flow.sample().groups
        assert (group.per_second, group.state) == (0.0, "fine")
        steady.now_s += STUCK_AFTER_S
        assert flow.sample().groups[0].state == "stuck"


def test_what_was_read_serves_for_a_while() -> None:
    with EmbeddedBroker() as broker:
        broker.create(EVENTS)
        kept, again = (
            Operations(broker.connection, GROUPS, look_every_s=every_s, now_ms=now_ms)
            for every_s in (60.0, 0.0)
        )
        before = kept.sample(), again.sample()
        with Producer(broker.connection) as producer:
            producer.send(EVENTS, b"1", b"{}")
        assert kept.sample() is before[0]
        assert again.sample().flow.groups[0].behind == 1


def test_a_broker_that_is_away_leaves_the_last_figures_with_the_reason() -> None:
    steady = Steady()
    broker = EmbeddedBroker()
    with broker:
        broker.create(EVENTS)
        flow = Flow(broker.connection, GROUPS, steady)
        figures = flow.sample().groups
    steady.now_s += LOOK_AFTER_S
    found = flow.sample()
    assert found.groups == figures
    assert found.fault


@pytest.mark.parametrize(
    ("still_s", "behind_s", "state"),
    [
        (0.0, None, "fine"),
        (STUCK_AFTER_S - 1, None, "fine"),
        (STUCK_AFTER_S, None, "stuck"),
        (0.0, 5.0, "fine"),
        (0.0, 50.0, "behind"),
    ],
)
def test_a_state_says_what_the_figures_say(
    still_s: float, behind_s: float | None, state: State
) -> None:
    assert state_of(still_s, behind_s) == state
