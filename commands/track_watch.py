"""What `ordertide track` tells Prometheus."""

from dataflows.core.output import Output
from dataflows.core.resolve import Answers
from schemas.settings import TelemetrySettings


class TrackWatch:
    """Counts what the dataflow does."""

    def __init__(self, settings: TelemetrySettings) -> None:
        self.settings = settings

    def started(self) -> None:
        """The dataflow is about to run."""

    def close(self) -> None:
        """It ended."""

    def seen(self, read: int, ticks: int, rejected: int) -> None:
        """A slot read messages."""

    def advanced(
        self, shard: str, out: Output, through: int, orders: int, waiting: int, seconds: float
    ) -> None:
        """An order shard's clock moved."""

    def resolved(self, shard: str, answers: Answers, waiting: int) -> None:
        """A resolver shard answered."""
