"""Live orders by status and carrier: the counts are those of the latest documents."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.exposition import generate_latest

from sinks.delivery.entries import OrderKey
from sinks.delivery.live_orders import MOST_CARRIERS, LiveOrders, StatusAndCarrier
from sinks.delivery.metrics import DeliveryMetrics
from telemetry.metrics import Metrics

PARTITIONS = (0, 1)
CHANGES = st.tuples(
    st.builds(OrderKey, st.sampled_from(PARTITIONS), st.sampled_from("abc")),
    st.sampled_from(["PAID", "SHIPPED", None, "tombstone", "drop"]),
    st.sampled_from(["sf", "yto", None]),
)


@given(st.lists(CHANGES))
def test_the_counts_are_those_of_the_latest_documents(
    changes: list[tuple[OrderKey, str | None, str | None]],
) -> None:
    live = LiveOrders()
    latest: dict[OrderKey, StatusAndCarrier] = {}
    watch = DeliveryMetrics(metrics := Metrics("deliver"), "memory")
    for order, status, carrier in changes:
        if status == "tombstone":
            live.remove(order)
            latest.pop(order, None)
        elif status == "drop":
            live.drop(order.partition)
            latest = {key: of for key, of in latest.items() if key.partition != order.partition}
        else:
            live.apply(order, status, carrier)
            latest[order] = StatusAndCarrier(status or "EMBRYO", carrier or "none")
        watch.counts(live)
        [family] = metrics.orders_by_status.collect()
        shown = {
            StatusAndCarrier(sample.labels["status"], sample.labels["carrier"]): sample.value
            for sample in family.samples
        }
        assert shown == Counter(latest.values())


def test_carriers_beyond_the_bound_are_one() -> None:
    live, metrics = LiveOrders(), Metrics("deliver")
    for number in range(3 * MOST_CARRIERS):
        live.apply(OrderKey(0, f"SO-{number}"), "SHIPPED", f"carrier-{number}")
    assert live.counts.total() == 3 * MOST_CARRIERS
    assert len(live.counts) == MOST_CARRIERS + 1
    DeliveryMetrics(metrics, "memory").counts(live)
    shown = generate_latest(metrics.registry).decode()
    assert 'carrier="other",sink="memory",status="other"} 100.0' in shown
    for number in range(3 * MOST_CARRIERS):
        live.remove(OrderKey(0, f"SO-{number}"))
    assert not +live.counts
