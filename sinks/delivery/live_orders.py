"""Live orders by status and carrier, counted as their documents come.

Delivery reads every document of orders.changes anyway, and below its offsets the compacted topic
again when it starts: so a count kept where an order changes is complete, costs one look-up a
document and about 60 bytes an order, and needs no state. In the dataflow the counts would have to
be restored with the orders, which are packed there.

Pure: no clock, no broker.
"""

from collections import Counter
from typing import NamedTuple

from sinks.delivery.entries import OrderKey
from telemetry.bounded_labels import BoundedLabels

EMBRYO = "EMBRYO"  # an order without a creating event has no status
NO_CARRIER = "none"
MOST_CARRIERS = 50
MOST_STATUSES = 200  # of a carrier; a lifecycle has fewer


class StatusAndCarrier(NamedTuple):
    """Labels of the metric."""

    status: str
    carrier: str


class LiveOrders:
    """Counts of live orders; `changed` has the labels whose counts were not shown yet."""

    def __init__(self) -> None:
        """Create counts of no order."""
        self.counts = Counter[StatusAndCarrier]()
        self.changed: set[StatusAndCarrier] = set()
        self._held: dict[int, dict[str, StatusAndCarrier]] = {}
        self._bounded = BoundedLabels(MOST_CARRIERS, MOST_STATUSES)
        self._labels: dict[StatusAndCarrier, StatusAndCarrier] = {}

    def apply(self, order: OrderKey, status: str | None, carrier: str | None) -> None:
        """Count an order as its latest document has it."""
        named = StatusAndCarrier(status or EMBRYO, carrier or NO_CARRIER)
        labels = self._labels.get(named) or self._bound(named)
        held = self._held.setdefault(order.partition, {})
        before = held.get(order.key)
        if before is labels:
            return
        if before is not None:
            self._add(before, -1)
        held[order.key] = labels
        self._add(labels, 1)

    def remove(self, order: OrderKey) -> None:
        """Forget an order that is no longer live."""
        before = self._held.get(order.partition, {}).pop(order.key, None)
        if before is not None:
            self._add(before, -1)

    def drop(self, partition: int) -> None:
        """Forget a partition that another process owns now."""
        for labels in self._held.pop(partition, {}).values():
            self._add(labels, -1)

    def _add(self, labels: StatusAndCarrier, count: int) -> None:
        self.counts[labels] += count
        self.changed.add(labels)

    def _bound(self, named: StatusAndCarrier) -> StatusAndCarrier:
        """The labels, one object for each pair; of pairs over the bound nothing is kept."""
        carrier, status = self._bounded.of(named.carrier, named.status)
        labels = StatusAndCarrier(status, carrier)
        return self._labels.setdefault(labels, labels)
