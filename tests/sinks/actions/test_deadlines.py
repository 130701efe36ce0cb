"""Deadlines of requests: one thread for all, the nearest first, none after the end."""

import threading
import time
from contextlib import ExitStack

from sinks.actions.channels.deadlines import Deadlines
from tests.support.waiting import wait_until


def test_each_is_cut_at_its_own_deadline_and_one_thread_watches_all() -> None:
    deadlines, cut_at_s = Deadlines(), dict[float, float]()
    before, began_s = {*threading.enumerate()}, time.monotonic()
    with ExitStack() as stack:
        for seconds in (60.0, 0.3, 0.1, 0.2):

            def cut(seconds: float = seconds) -> None:
                cut_at_s[seconds] = time.monotonic()

            stack.enter_context(deadlines.within(seconds, cut))
        wait_until(lambda: len(cut_at_s) == 3, "three cuts")
        assert cut_at_s.keys() == {0.1, 0.2, 0.3}
        assert all(at_s - began_s >= seconds for seconds, at_s in cut_at_s.items())
        assert len({*threading.enumerate()} - before) == 1


def test_what_is_over_in_time_is_not_cut_and_later_ones_still_are() -> None:
    deadlines, cuts = Deadlines(), list[str]()
    with deadlines.within(1.0, lambda: cuts.append("over")):
        pass
    with deadlines.within(1.1, lambda: cuts.append("hangs")):
        wait_until(lambda: bool(cuts), "a cut")
    assert cuts == ["hangs"]
