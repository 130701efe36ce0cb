"""One odd recorded time silences nothing, and a gap in history is no odd time."""

from hypothesis import given
from hypothesis import strategies as st

from broker.clock import NO_WATERMARK
from broker.recorded_clock import RecordedClock
from schemas.instants import DAY_MS, HOUR_MS

JAN_1 = 1_514_764_800_000
YEAR_2099 = 4_070_908_800_000
GAPS = st.sampled_from((0, 1, HOUR_MS, DAY_MS, 7 * DAY_MS, 31 * DAY_MS, 400 * DAY_MS))
HISTORIES = st.lists(GAPS, min_size=1, max_size=12)
ODD = st.integers(0, 12)


def no_now() -> int:
    raise AssertionError("recorded history has its own time")


def clock() -> RecordedClock:
    return RecordedClock(DAY_MS, no_now)


def instants(gaps: list[int]) -> list[int]:
    found, at = [], JAN_1
    for gap in gaps:
        at += gap
        found.append(at)
    return found


@given(HISTORIES)
def test_events_of_a_history_with_any_gaps_arrive_when_they_did(gaps: list[int]) -> None:
    tested = clock()
    for at in instants(gaps):
        # An event may share its ms with the one before, never come before it.
        assert tested.saw(at) == at
    tested.confirm(instants(gaps)[-1])
    assert tested.watermark == instants(gaps)[-1] - 1


@given(HISTORIES, st.lists(ODD, max_size=3), st.booleans())
def test_odd_times_in_between_change_no_other_arrival_and_not_the_clock(
    gaps: list[int],
    places: list[int],
    is_tick: bool,  # noqa: FBT001 - drawn
) -> None:
    tested, found = clock(), []
    for index, at in enumerate(instants(gaps)):
        if index in places:
            if is_tick:
                tested.tick(YEAR_2099)
            else:
                assert tested.saw(YEAR_2099) == YEAR_2099, "it keeps its own arrival"
        found.append(tested.saw(at))
    assert found == instants(gaps)
    tested.confirm(found[-1])
    assert tested.watermark == found[-1] - 1
    assert tested.refuted == len({place for place in places if place < len(gaps)})


def test_a_gap_counts_once_the_other_partitions_have_come_near_it() -> None:
    tested = clock()
    tested.saw(JAN_1)
    tested.confirm(JAN_1)
    tested.saw(JAN_1 + 31 * DAY_MS)
    for others in (JAN_1, JAN_1 + 29 * DAY_MS):
        tested.confirm(others)
        assert tested.watermark == JAN_1 - 1
    tested.confirm(JAN_1 + 30 * DAY_MS)
    assert tested.watermark == JAN_1 + 31 * DAY_MS - 1


def test_a_lone_time_of_2099_is_never_confirmed_by_others() -> None:
    tested = clock()
    tested.tick(JAN_1)
    tested.confirm(JAN_1)
    tested.tick(YEAR_2099)
    tested.confirm(JAN_1 + 400 * DAY_MS)
    assert tested.watermark == JAN_1


def test_a_partition_that_is_alone_takes_a_second_message_to_cross_a_gap() -> None:
    tested = clock()
    for at in (JAN_1, JAN_1):
        tested.saw(at)
    tested.confirm(None)
    assert tested.watermark == JAN_1 - 1
    tested.saw(JAN_1 + 31 * DAY_MS)
    tested.confirm(None)
    assert tested.watermark == JAN_1 - 1
    tested.tick(JAN_1 + 31 * DAY_MS)
    tested.confirm(None)
    assert tested.watermark == JAN_1 + 31 * DAY_MS


def test_of_an_order_with_a_step_a_week_alone_each_is_confirmed_by_the_next() -> None:
    tested = clock()
    for week in range(4):
        tested.saw(JAN_1 + week * 7 * DAY_MS)
        tested.confirm(None)
    assert tested.watermark == JAN_1 + 14 * DAY_MS - 1


def test_the_first_event_of_all_waits_for_another() -> None:
    tested = clock()
    tested.saw(YEAR_2099)
    tested.confirm(None)
    assert tested.watermark == NO_WATERMARK
    assert tested.saw(JAN_1) == JAN_1
    tested.saw(JAN_1 + 1)
    tested.confirm(None)
    assert tested.watermark == JAN_1


@given(HISTORIES, st.lists(ODD, max_size=3), ODD)
def test_claims_outlive_a_restart(gaps: list[int], places: list[int], stop: int) -> None:
    whole, resumed = clock(), clock()
    for index, at in enumerate(instants(gaps)):
        if index == stop:
            resumed = RecordedClock(DAY_MS, no_now, resumed.state)
        for tested in (whole, resumed):
            if index in places:
                tested.saw(YEAR_2099)
            tested.saw(at)
            tested.confirm(JAN_1 + index * DAY_MS)
        assert whole.state == resumed.state
