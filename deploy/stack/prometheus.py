"""Prometheus, which watches the engine's processes, and Alertmanager, which sends what it finds."""

from pathlib import Path

import msgspec

from deploy.stack.ports import HOST
from deploy.stack.programs import path_of
from deploy.stack.server import Server, http_get

RULES = Path(__file__).parent.parent / "prometheus"
DEFAULT_WEBHOOK = f"http://{HOST}:9094/"
# A file in the folder of targets is a list of objects, each with `targets`, which are host:port,
# and `labels`: a process of the engine writes one when it starts and removes it at its end.
PROMETHEUS_CONFIG = """\
global:
  scrape_interval: {interval_s}s
  evaluation_interval: {interval_s}s
rule_files:
  - {rules}
alerting:
  alertmanagers:
    - static_configs:
        - targets: {alertmanagers}
scrape_configs:
  - job_name: prometheus
    static_configs:
      - targets: [{own}]
  - job_name: ordertide
    file_sd_configs:
      - files: [{targets}]
        refresh_interval: {interval_s}s
"""
# Grouped by cause, and sent soon: on one machine a person is waiting for it.
ALERTMANAGER_CONFIG = """\
route:
  receiver: webhook
  group_by: [alertname]
  group_wait: 1s
  group_interval: 5s
  repeat_interval: 1h
receivers:
  - name: webhook
    webhook_configs:
      - url: {webhook}
        send_resolved: true
"""


class Prometheus(Server):
    """Scrapes what the files in `targets` name, every `interval_s`.

    `rules` is a folder of rule files, `*.rules.yaml`; none yet is fine. `alertmanager` is where it
    sends what they find: host and port.
    """

    label = "prometheus"

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        log: Path | None = None,
        targets: Path | None = None,
        rules: Path = RULES,
        alertmanager: str | None = None,
        interval_s: int = 2,
    ) -> None:
        super().__init__(folder, {"port": port}, log)
        self.targets = (targets or self.folder / "targets").absolute()
        self.rules = rules.absolute()
        self.alertmanager = alertmanager
        self.interval_s = interval_s

    @property
    def address(self) -> dict[str, str]:
        """`url`, and the folder in which `targets` are looked for."""
        return {"url": f"http://{HOST}:{self.ports['port']}", "targets": str(self.targets)}

    def needs(self) -> list[str]:
        """The server."""
        return ["prometheus"]

    def prepare(self) -> None:
        """Write the configuration."""
        self.targets.mkdir(parents=True, exist_ok=True)
        text = PROMETHEUS_CONFIG.format(
            interval_s=self.interval_s,
            rules=quoted(f"{self.rules}/*.rules.yaml"),
            alertmanagers=quoted([self.alertmanager] if self.alertmanager else []),
            own=quoted(f"{HOST}:{self.ports['port']}"),
            targets=quoted(f"{self.targets}/*.json"),
        )
        (self.folder / "prometheus.yaml").write_text(text)

    def command(self) -> list[str]:
        """The server."""
        return [
            path_of("prometheus"),
            f"--config.file={self.folder}/prometheus.yaml",
            f"--storage.tsdb.path={self.folder}/data",
            "--storage.tsdb.retention.time=2d",
            f"--web.listen-address={HOST}:{self.ports['port']}",
            "--web.enable-lifecycle",  # POST /-/reload reads changed rules
        ]

    def ask(self) -> None:
        """Put a query, which it refuses until it has read its data.

        Raises:
            NoAnswer: it doesn't answer.
        """
        http_get(f"{self.address['url']}/api/v1/query?query=vector(1)")


class Alertmanager(Server):
    """Alertmanager: sends alerts to `webhook`, or as its file `config` routes them."""

    label = "alertmanager"

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        log: Path | None = None,
        webhook: str = DEFAULT_WEBHOOK,
        config: Path | None = None,
    ) -> None:
        super().__init__(folder, {"port": port}, log)
        self.webhook = webhook
        self.config = config.absolute() if config else None

    @property
    def address(self) -> dict[str, str]:
        """`url`."""
        return {"url": f"http://{HOST}:{self.ports['port']}"}

    def needs(self) -> list[str]:
        """The server."""
        return ["prometheus-alertmanager"]

    def prepare(self) -> None:
        """Write the configuration, unless a custom one is given."""
        if self.config is None:
            text = ALERTMANAGER_CONFIG.format(webhook=quoted(self.webhook))
            (self.folder / "alertmanager.yaml").write_text(text)

    def command(self) -> list[str]:
        """The server, without its cluster's port."""
        return [
            path_of("prometheus-alertmanager"),
            f"--config.file={self.config or self.folder / 'alertmanager.yaml'}",
            f"--storage.path={self.folder}/data",
            f"--web.listen-address={HOST}:{self.ports['port']}",
            "--cluster.listen-address=",
        ]

    def ask(self) -> None:
        """List the alerts.

        Raises:
            NoAnswer: it doesn't answer.
        """
        http_get(f"{self.address['url']}/api/v2/alerts?active=true")


def quoted(value: str | list[str]) -> str:
    """A value for YAML, a superset of JSON."""
    return msgspec.json.encode(value).decode()
