"""Waiting of tests: it ends with the answer, or with what was awaited."""

from itertools import count

import pytest

from tests.support.waiting import wait_until

PATIENCE_S = 0.3


def test_the_first_true_answer_is_returned() -> None:
    answers = iter([0, "", None, "here"])
    assert wait_until(lambda: next(answers), "an answer", pause_s=0) == "here"


def test_a_wait_in_vain_names_what_was_awaited_and_shows_what_came_instead() -> None:
    with pytest.raises(AssertionError, match=r"in vain: the broker\nnot listening"):
        wait_until(lambda: False, "the broker", PATIENCE_S, lambda: "not listening")


def test_patience_counts_from_the_last_progress() -> None:
    done, asked = count(), count()
    # 20 pauses of 0.05 s are more than three times as long as patience is.
    assert wait_until(lambda: next(asked) >= 20, "all", PATIENCE_S, progress=lambda: next(done))


def test_progress_that_stands_still_is_shown() -> None:
    with pytest.raises(AssertionError, match="in vain: all; it stands at 7"):
        wait_until(lambda: False, "all", PATIENCE_S, progress=lambda: 7)


def test_what_makes_a_wait_senseless_ends_it_at_once() -> None:
    def came() -> bool:
        raise AssertionError("the process has ended")

    with pytest.raises(AssertionError, match="the process has ended"):
        wait_until(came, "an event")
