"""GCJ-02 to WGS 84."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataflows.carriers.datum import shift, to_wgs84

CM_IN_DEGREES = 1e-7


def test_the_shift_is_the_published_one() -> None:
    # The worked example of the coordtransform libraries: WGS 84 116.404, 39.915.
    north, east = shift(39.915, 116.404)
    assert (39.915 + north, 116.404 + east) == pytest.approx(
        (39.91640428150164, 116.41024449916938)
    )


@given(lat=st.floats(4, 53), lon=st.floats(74, 135))
def test_a_shifted_point_comes_back_to_within_a_centimetre(lat: float, lon: float) -> None:
    north, east = shift(lat, lon)
    assert to_wgs84(lat + north, lon + east) == pytest.approx((lat, lon), abs=CM_IN_DEGREES)


@pytest.mark.parametrize("point", [(-23.55, -46.63), (52.52, 13.4), (0.0, 0.0)])
def test_outside_china_nothing_is_shifted(point: tuple[float, float]) -> None:
    assert to_wgs84(*point) == point


@pytest.mark.parametrize("point", [(float("nan"), 109.0), (34.0, float("inf"))])
def test_what_is_no_point_is_refused(point: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="is no point"):
        to_wgs84(*point)
