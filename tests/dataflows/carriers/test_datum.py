"""GCJ-02 and WGS 84."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dataflows.carriers.datum import in_china, to_gcj02, to_wgs84

CM_IN_DEGREES = 1e-7
ABROAD = {
    "São Paulo": (-23.55, -46.63),
    "Berlin": (52.52, 13.4),
    "the equator": (0.0, 0.0),
    "Seoul": (37.57, 126.98),
    "Tokyo": (35.68, 139.69),
    "Taipei": (25.03, 121.56),
    "Hanoi": (21.03, 105.85),
    "Delhi": (28.61, 77.21),
    "Singapore": (1.35, 103.82),
    "Vladivostok": (43.12, 131.89),
    "Ulaanbaatar": (47.89, 106.91),
}
IN_CHINA = {
    "Beijing": (39.9, 116.4),
    "Ürümqi": (43.83, 87.62),
    "Lhasa": (29.65, 91.1),
    "Harbin": (45.8, 126.53),
    "Kunming": (25.04, 102.71),
    "Haikou": (20.04, 110.34),
    "Shenzhen": (22.54, 114.06),
}


def test_the_shift_is_the_published_one() -> None:
    # The worked example of the coordtransform libraries: WGS 84 116.404, 39.915.
    assert to_gcj02(39.915, 116.404) == pytest.approx((39.91640428150164, 116.41024449916938))


@given(lat=st.floats(18, 54), lon=st.floats(74, 135))
def test_a_shifted_point_comes_back_to_within_a_centimetre(lat: float, lon: float) -> None:
    shifted = to_gcj02(lat, lon)
    assume(in_china(lat, lon) == in_china(*shifted))  # not over an edge of a box
    assert to_wgs84(*shifted) == pytest.approx((lat, lon), abs=CM_IN_DEGREES)


@pytest.mark.parametrize("town", ABROAD)
def test_outside_china_nothing_is_shifted(town: str) -> None:
    assert to_wgs84(*ABROAD[town]) == to_gcj02(*ABROAD[town]) == ABROAD[town]


@pytest.mark.parametrize("town", IN_CHINA)
def test_in_china_a_point_is_shifted_by_100_to_900_metres(town: str) -> None:
    lat, lon = IN_CHINA[town]
    north, east = (there - here for there, here in zip(to_gcj02(lat, lon), (lat, lon), strict=True))
    assert 0.001 < abs(north) + abs(east) < 0.013


@pytest.mark.parametrize("point", [(float("nan"), 109.0), (34.0, float("inf"))])
def test_what_is_no_point_is_refused(point: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="is no point"):
        to_wgs84(*point)
