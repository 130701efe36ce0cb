"""How a process that runs on shows its metrics and its health, by the settings."""

from collections.abc import Mapping
from pathlib import Path

from schemas.settings import TelemetrySettings
from telemetry.health import Check, HealthServer
from telemetry.metrics import Metrics
from telemetry.scrape_target import ScrapeTarget


def health_server(
    metrics: Metrics, checks: Mapping[str, Check], settings: TelemetrySettings, process: str
) -> HealthServer:
    """The server of one process; `process` is what it does: track, write-hot, deliver.

    Raises:
        SettingsError: the port is taken, or the host isn't ours.
    """
    target = ScrapeTarget(Path(settings.targets), process) if settings.targets else None
    return HealthServer(metrics.registry, checks, settings.host, settings.port, target)
