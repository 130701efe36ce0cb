"""Backoff: delays double from what the server asks for, up to a limit, and are spread."""

from hypothesis import given
from hypothesis import strategies as st

from broker.backoff import JITTER, Backoff

SECONDS = st.floats(0.01, 1_000)
TRIES = 64


def is_spread_around(delay_s: float, middle_s: float) -> bool:
    return middle_s * (1 - JITTER) * 0.999 <= delay_s <= middle_s * (1 + JITTER) * 1.001


@given(asked_s=SECONDS, longest_s=SECONDS)
def test_delays_double_from_what_was_asked_for_up_to_the_limit(
    asked_s: float, longest_s: float
) -> None:
    backoff = Backoff(longest_s)
    for attempt in range(12):
        middle_s = min(asked_s * 2**attempt, longest_s)
        assert is_spread_around(backoff.next_s(asked_s), middle_s)


@given(first_s=SECONDS, failures=st.integers(1, 8))
def test_a_success_begins_again_with_the_first_delay(first_s: float, failures: int) -> None:
    backoff = Backoff(longest_s=1e9, first_s=first_s)
    assert not backoff.is_failing
    for _ in range(failures):
        backoff.next_s()
    assert backoff.is_failing
    backoff.reset()
    assert not backoff.is_failing
    assert is_spread_around(backoff.next_s(), first_s)


def test_a_server_that_asks_for_more_is_given_more() -> None:
    backoff = Backoff(longest_s=30.0)
    backoff.next_s(0.5)
    assert is_spread_around(backoff.next_s(8.0), 8.0)
    assert is_spread_around(backoff.next_s(0.5), 16.0)


def test_processes_that_fail_together_retry_apart() -> None:
    delays = {Backoff(longest_s=1.0, first_s=1.0).next_s() for _ in range(TRIES)}
    assert len(delays) > TRIES // 2
