"""Counts of requests in memory: those of several processes in one."""

from collections.abc import Mapping

from gateway.rates import Period, SharedCounts


class MemoryCounts(SharedCounts):
    """Counts in memory."""

    def __init__(self) -> None:
        """Create counts of no request."""
        self._sums: dict[Period, int] = {}

    def add(self, counts: Mapping[Period, int]) -> Mapping[Period, int]:
        for period, count in counts.items():
            self._sums[period] = self._sums.get(period, 0) + count
        return {period: self._sums[period] for period in counts}

    def close(self) -> None:
        pass  # nothing is open
