"""Instants and durations: ms since 1970, written in one way, read strictly."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import SettingsError
from schemas.instants import (
    LATEST_AT,
    format_duration,
    format_instant,
    parse_duration,
    parse_instant,
)


@given(st.integers(0, LATEST_AT))
def test_an_instant_is_read_back_as_it_was_written(at: int) -> None:
    assert parse_instant(format_instant(at)) == at


@given(st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.timezones()))  # noqa: DTZ001 - hypothesis adds the zone
def test_an_instant_is_rounded_down_to_the_ms(moment: datetime) -> None:
    utc = moment.astimezone(UTC)
    assert format_instant(parse_instant(utc.isoformat())) == (
        f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"
    )


@given(st.lists(st.integers(0, LATEST_AT), min_size=2))
def test_instants_sort_as_texts_like_as_numbers(instants: list[int]) -> None:
    assert sorted(map(format_instant, instants)) == list(map(format_instant, sorted(instants)))


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2018-12-31T00:00:00-03:00", "2018-12-31T03:00:00.000Z"),
        ("2018-12-31T00:00:00Z", "2018-12-31T00:00:00.000Z"),
        ("2018-12-31T08:00:00.9999+08:00", "2018-12-31T00:00:00.999Z"),
        ("1969-12-31T23:59:59.9999Z", "1969-12-31T23:59:59.999Z"),
    ],
)
def test_an_offset_is_counted_in(text: str, utc: str) -> None:
    assert format_instant(parse_instant(text)) == utc


@pytest.mark.parametrize("text", ["2018-12-31T00:00:00", "2018-12-31", "soon", ""])
def test_an_instant_without_an_offset_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"offset|isoformat"):
        parse_instant(text)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("250ms", 250),
        ("90s", 90_000),
        ("15m", 900_000),
        ("48h", 172_800_000),
        ("3d", 259_200_000),
        ("1d12h", 129_600_000),
        ("0s", 0),
    ],
)
def test_a_duration_is_a_number_and_a_unit_or_a_sum_of_these(text: str, ms: int) -> None:
    assert parse_duration(text) == ms


@pytest.mark.parametrize("text", ["", "48", "h", "-1h", "1.5h", "1 h", "2w", "1h,", "1H"])
def test_what_is_no_duration_is_refused_by_name(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_duration(text, of="hot.keep")
    assert str(caught.value) == (
        f"hot.keep: {text!r} is no duration; write a number and ms, s, m, h or d, like 48h"
    )


@given(st.integers(0, 10**11))
def test_a_duration_is_read_back_as_it_was_written(duration_ms: int) -> None:
    text = format_duration(duration_ms)
    digits = text.rstrip("msdh")
    if len(digits) <= 9:
        assert parse_duration(text) == duration_ms


@pytest.mark.parametrize(
    ("ms", "text"), [(172_800_000, "2d"), (129_600_000, "36h"), (90_000, "90s"), (0, "0ms")]
)
def test_a_duration_is_written_in_the_largest_exact_unit(ms: int, text: str) -> None:
    assert format_duration(ms) == text
