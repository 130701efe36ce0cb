"""The stack's Prometheus scrapes a registered process, and drops it when it ends."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from commands.wiring.write_metrics import TierMetrics
from deploy.stack.programs import path_of
from deploy.stack.prometheus import Prometheus
from deploy.stack.server import http_get
from schemas.settings.model import TelemetrySettings
from tests.support import stack
from tests.support.waiting import wait_until

TIMEOUT_S = 60.0


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Prometheus]:
    stack.address("prometheus")  # where there is none, the test is skipped
    assert path_of("prometheus")
    server = Prometheus(tmp_path / "prometheus", interval_s=1)
    server.start()
    server.wait(TIMEOUT_S)
    yield server
    server.stop()


def asked(server: Prometheus, query: str) -> dict[str, float]:
    """{process: value}."""
    answer = json.loads(http_get(f"{server.address['url']}/api/v1/query?query={quote(query)}"))
    return {one["metric"]["process"]: float(one["value"][1]) for one in answer["data"]["result"]}


def wait_for(server: Prometheus, query: str, answer: dict[str, float]) -> None:
    wait_until(
        lambda: asked(server, query) == answer,
        f"{query}: {answer}",
        shown=lambda: asked(server, query),
    )


@pytest.mark.stack
def test_a_process_is_scraped_while_it_runs(prometheus: Prometheus) -> None:
    settings = TelemetrySettings(targets=prometheus.address["targets"])
    watch = TierMetrics("archive", settings)
    watch.measured("archive", 4_711)
    up = 'up{job="ordertide"}'
    wait_for(prometheus, up, {"write-archive": 1})
    wait_for(prometheus, "ordertide_tier_bytes", {"write-archive": 4_711})
    watch.close()
    wait_for(prometheus, up, {})
