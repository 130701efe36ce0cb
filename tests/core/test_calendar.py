"""A calendar gives every key when it is due, whatever was noted for it before."""

from hypothesis import given
from hypothesis import strategies as st

from dataflows.core.calendar import Calendar
from dataflows.core.deadlines import NEVER
from schemas.instants import DAY_MS, HOUR_MS, MINUTE_MS

KEYS = st.sampled_from("abcdef")
STEPS = st.lists(
    st.tuples(KEYS, st.integers(0, 3 * DAY_MS), st.integers(0, 5 * HOUR_MS)), max_size=60
)


def armed_in(armed: dict[str, int]) -> Calendar:
    return Calendar(lambda key: armed.get(key, NEVER))


@given(STEPS)
def test_a_key_is_due_when_its_latest_time_has_come_and_only_then(
    steps: list[tuple[str, int, int]],
) -> None:
    armed: dict[str, int] = {}
    calendar = armed_in(armed)
    watermark = 0
    for key, ahead, step in steps:
        armed[key] = watermark + 1 + ahead
        calendar.add(armed[key], key)
        watermark += step
        expected = sorted(key for key, at in armed.items() if at <= watermark)
        assert sorted(calendar.due(watermark)) == expected
        for key_due in expected:
            del armed[key_due]


@given(st.dictionaries(KEYS, st.integers(0, 3 * DAY_MS)), st.integers(0, 3 * DAY_MS))
def test_a_calendar_that_is_filled_at_once_says_the_same(armed: dict[str, int], at: int) -> None:
    one_by_one, filled = armed_in(armed), armed_in(armed)
    for key, due_at in armed.items():
        one_by_one.add(due_at, key)
    filled.fill((due_at, key) for key, due_at in armed.items())
    assert sorted(filled.due(at)) == sorted(one_by_one.due(at))


def test_keys_come_soonest_first_by_the_minute() -> None:
    armed = {"late": 2 * HOUR_MS, "soon": MINUTE_MS, "between": HOUR_MS - 1}
    calendar = armed_in(armed)
    for key, at in armed.items():
        calendar.add(at, key)
    assert calendar.due(3 * HOUR_MS) == ["soon", "between", "late"]


def test_it_tells_that_nothing_can_be_due_without_looking_at_any_key() -> None:
    calendar = armed_in({"a": 5 * HOUR_MS})
    calendar.add(5 * HOUR_MS, "a")
    assert not calendar.has_come(5 * HOUR_MS - 1)
    assert calendar.has_come(5 * HOUR_MS)
