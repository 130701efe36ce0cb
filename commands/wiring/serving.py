"""Server of metrics and health for long-running processes, by the settings."""

import logging
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from threading import Event

from commands.wiring.settings_file import used_settings
from schemas.settings.model import TelemetrySettings
from telemetry.health import Check, HealthServer
from telemetry.log import configure
from telemetry.metrics import Metrics
from telemetry.scrape_target import ScrapeTarget

LOGGER = logging.getLogger("ordertide")
LOOK_AGAIN_S = 1.0
FORMS = {"auto": None, "text": False, "json": True}


def patience(stop: Event, missing: Callable[[str], None]) -> Callable[[str], bool]:
    """Callback for `wait_for_topics`: log missing topics once, and wait a second unless stopped."""
    logged: set[str] = set()

    def waiting(reason: str) -> bool:
        missing(reason)
        if reason not in logged:
            logged.add(reason)
            LOGGER.warning("waiting: %s", reason)
        return not stop.wait(LOOK_AGAIN_S)

    return waiting


def start_logs(settings: TelemetrySettings) -> None:
    """Log as the settings say, from now on.

    Raises:
        SettingsError: there is no such level.
    """
    configure(settings.level, json=FORMS[settings.logs])


def announce(process: str, server: HealthServer, *parts: str) -> None:
    """Log once that a process is up: version, settings file, `parts`, address of its metrics."""
    metrics = f"metrics at http://{server.host}:{server.port}/metrics"
    details = [f"ordertide {version('ordertide')}", used_settings(), *parts, metrics]
    LOGGER.info("%s: up; %s", process, "; ".join(details))


def health_server(
    metrics: Metrics, checks: Mapping[str, Check], settings: TelemetrySettings, process: str
) -> HealthServer:
    """The server of one process; `process` is what it does: track, write-hot, deliver.

    Raises:
        SettingsError: the port is taken, or the host isn't ours.
    """
    target = ScrapeTarget(Path(settings.targets), process) if settings.targets else None
    return HealthServer(metrics.registry, checks, settings.host, settings.port, target)
