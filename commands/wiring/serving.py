"""Server of metrics and health for long-running processes, by the settings."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event

from schemas.settings.model import TelemetrySettings
from telemetry.health import Check, HealthServer
from telemetry.metrics import Metrics
from telemetry.scrape_target import ScrapeTarget

LOGGER = logging.getLogger("ordertide")
LOOK_AGAIN_S = 1.0


def patience(stop: Event, missing: Callable[[str], None]) -> Callable[[str], bool]:
    """Callback for `wait_for_topics`: log missing topics once, and wait a second unless stopped."""
    said: set[str] = set()

    def waiting(reason: str) -> bool:
        missing(reason)
        if reason not in said:
            said.add(reason)
            LOGGER.warning("waiting: %s", reason)
        return not stop.wait(LOOK_AGAIN_S)

    return waiting


def health_server(
    metrics: Metrics, checks: Mapping[str, Check], settings: TelemetrySettings, process: str
) -> HealthServer:
    """The server of one process; `process` is what it does: track, write-hot, deliver.

    Raises:
        SettingsError: the port is taken, or the host isn't ours.
    """
    target = ScrapeTarget(Path(settings.targets), process) if settings.targets else None
    return HealthServer(metrics.registry, checks, settings.host, settings.port, target)
