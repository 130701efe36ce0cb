"""Write the dashboards: `python -m deploy.grafana.generate`. A test sees that they are current."""

from pathlib import Path

from deploy.grafana.actions import ACTIONS
from deploy.grafana.engine import ENGINE
from deploy.grafana.gateway import GATEWAY
from deploy.grafana.orders import ORDERS
from deploy.grafana.panels import to_json
from deploy.grafana.polling import POLLING
from deploy.grafana.tiers import TIERS

FOLDER = Path(__file__).parent
DASHBOARDS = (ORDERS, ENGINE, TIERS, GATEWAY, ACTIONS, POLLING)


def files() -> dict[Path, bytes]:
    """Content of each file."""
    return {FOLDER / f"{each.uid}.json": to_json(each) for each in DASHBOARDS}


def main() -> None:
    """Write them all."""
    for path, content in files().items():
        path.write_bytes(content)
        print(path.name)  # noqa: T201 - a command reports its result


if __name__ == "__main__":
    main()
