"""Write the objects: `python -m deploy.kibana.generate`. A test sees that they are current."""

from pathlib import Path

from deploy.kibana.dashboard import ndjson
from deploy.kibana.orders import BOARD, VIEWS

PATH = Path(__file__).parent / "ordertide.ndjson"


def main() -> None:
    """Write them all."""
    PATH.write_bytes(ndjson(VIEWS, BOARD))
    print(PATH.name)  # noqa: T201 - a command reports its result


if __name__ == "__main__":
    main()
