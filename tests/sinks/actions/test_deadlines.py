"""Deadlines of requests: one thread for all, the nearest first, none after the end."""

import threading
import time
from contextlib import ExitStack

from sinks.actions.channels.deadlines import Deadlines
from tests.support.waiting import wait_until


def test_each_is_cut_at_its_own_deadline_and_one_thread_watches_all() -> None:
    deadlines, cuts = Deadlines(), list[int]()
    before = threading.active_count()
    with ExitStack() as stack:
        for number, seconds in enumerate((60.0, 0.3, 0.1, 0.2)):

            def cut(number: int = number) -> None:
                cuts.append(number)

            stack.enter_context(deadlines.within(seconds, cut))
        wait_until(lambda: len(cuts) == 3, "three cuts")
        assert cuts == [2, 3, 1]
        assert threading.active_count() == before + 1


def test_what_is_over_in_time_is_not_cut_and_later_ones_still_are() -> None:
    deadlines, cuts = Deadlines(), list[str]()
    with deadlines.within(0.05, lambda: cuts.append("over")):
        pass
    time.sleep(0.1)
    with deadlines.within(0.05, lambda: cuts.append("hangs")):
        wait_until(lambda: bool(cuts), "a cut")
    assert cuts == ["hangs"]
