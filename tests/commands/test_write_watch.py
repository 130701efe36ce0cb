"""Metrics of a tier's writer."""

import math
import time
from collections.abc import Iterator

import pytest
from prometheus_client import generate_latest

from commands.wiring.write_metrics import TierMetrics
from schemas.instants import DAY_MS
from schemas.settings.model import TelemetrySettings
from schemas.topics import ORDERS_CHANGES, ORDERS_EVENTS

DAY_S = 86_400.0


@pytest.fixture
def watch() -> Iterator[TierMetrics]:
    found = TierMetrics("archive", TelemetrySettings(port=0))
    yield found
    found.close()


def shown(watch: TierMetrics, name: str) -> float:
    lines = generate_latest(watch.metrics.registry).decode().splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(name))


def headroom_s(watch: TierMetrics) -> float:
    return shown(watch, "ordertide_archive_headroom_seconds")


def test_the_headroom_is_that_of_the_earliest_event_that_is_not_archived(
    watch: TierMetrics,
) -> None:
    watch.keeps(7 * DAY_MS)
    five_days_ago = round(time.time() * 1000) - 5 * DAY_MS
    watch.uncommitted("archive", {ORDERS_EVENTS: five_days_ago, ORDERS_CHANGES: 0})
    assert headroom_s(watch) == pytest.approx(2 * DAY_S, abs=60)
    watch.uncommitted("archive", {})
    assert headroom_s(watch) == pytest.approx(7 * DAY_S, abs=60)


def test_a_topic_that_is_kept_for_ever_has_no_end(watch: TierMetrics) -> None:
    watch.keeps(math.inf)
    watch.uncommitted("archive", {ORDERS_EVENTS: 0})
    assert headroom_s(watch) == math.inf


def test_a_writer_that_has_no_say_in_it_shows_no_headroom(watch: TierMetrics) -> None:
    assert math.isnan(headroom_s(watch))


def test_the_size_of_the_tier_is_shown(watch: TierMetrics) -> None:
    watch.measured("archive", 12_345)
    assert shown(watch, 'ordertide_tier_bytes{tier="archive"}') == 12_345
