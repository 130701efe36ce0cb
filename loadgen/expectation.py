"""Expected result of a load, known from its making; every run can be checked against it."""

from collections import Counter
from typing import Any

from loadgen.lives import KINDS


class ExpectedCounts:
    """Counts that a load must give, kept while its messages are made."""

    def __init__(self) -> None:
        """Create counts at zero."""
        self.steps = [[0] * len(life.steps) for life in KINDS]
        self.duplicates = 0
        self.out_of_order = 0
        self.late = 0
        self.rejected: Counter[str] = Counter()
        self.messages = 0
        self.ticks = 0

    @property
    def events(self) -> int:
        """Distinct events, refused commands included."""
        return sum(map(sum, self.steps))

    @property
    def refused(self) -> int:
        """Commands that come too late."""
        return sum(
            count
            for life, reached in zip(KINDS, self.steps, strict=True)
            for step, count in zip(life.steps, reached, strict=True)
            if step.is_refused
        )

    def orders_by_status(self) -> dict[str, int]:
        """Number of orders that end in each status: those that reached a step and not the next."""
        ended: Counter[str] = Counter()
        for life, reached in zip(KINDS, self.steps, strict=True):
            for step, here, further in zip(life.steps, reached, [*reached[1:], 0], strict=True):
                ended[step.order] += here - further
        return {status: count for status, count in sorted(ended.items()) if count}

    def expectation(self) -> dict[str, Any]:
        """The expected counts; names as in the summary of `ordertide replay`."""
        return {
            "events_read": self.messages + self.ticks,
            "ticks": self.ticks,
            "events_distinct": self.events,
            "events_applied": self.events - self.refused,
            "events_duplicate": self.duplicates,
            "events_refused": self.refused,
            "events_rejected": self.rejected.total(),
            "events_waiting": 0,
            "rejected_by_code": dict(sorted(self.rejected.items())),
            "events_out_of_order": self.out_of_order,
            "events_late": self.late,
            "orders": sum(reached[0] for reached in self.steps),
            "orders_by_status": self.orders_by_status(),
        }


def differences(expected: dict[str, Any], summary: dict[str, Any]) -> list[str]:
    """Differences of a replay's summary (or counts under the same names) from a load's."""
    return [
        f"{name}: expected {value}, found {summary[name]}"
        for name, value in expected.items()
        if name in summary and summary[name] != value
    ]
