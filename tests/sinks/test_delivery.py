"""Delivery over the embedded broker: a receiver's state after changes, restarts and outages."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from prometheus_client.exposition import generate_latest

from broker.embedded import EmbeddedBroker
from broker.produce import Producer
from schemas.errors import Busy, Rejected
from schemas.topics import CLOCK_KEY, ORDERS_CHANGES
from sinks.channels.alert_message import Posting
from sinks.channels.channel import Channel
from sinks.channels.memory import MemoryChannel
from sinks.delivery.delivery import Delivery, DeliveryPlan
from sinks.delivery.metrics import DeliveryMetrics
from telemetry.metrics import Metrics, total
from tests.support.alerts import alert, order, overdue, produce, retire
from tests.support.waiting import wait_until

NOW = 1_900_000_000_000
STEPS = 600  # of 0.2 s without messages: more than enough for any rebalance


class Moody(MemoryChannel):
    """Channel that refuses as often as requested; `bad` are orders it will never take."""

    def __init__(self) -> None:
        super().__init__()
        self.refusals = 0
        self.bad: set[str] = set()

    def post(self, postings: Sequence[Posting]) -> None:
        if self.refusals:
            self.refusals -= 1
            raise Busy("receiver: no answer", retry_after_s=0.001)
        if self.bad & {posting.notice.labels["order_id"] for posting in postings}:
            raise Rejected("http_400", "one of them is bad")
        super().post(postings)


class Stage:
    """Deliveries over one broker, stepped by the test; `now_at` is their wall clock."""

    def __init__(self, broker: EmbeddedBroker, channel: Channel) -> None:
        self.broker = broker
        self.channel = channel
        self.now_at = NOW
        self.metrics = Metrics()
        self.stop = threading.Event()

    @contextmanager
    def delivery(
        self, group: str = "test-deliver", renew_ms: int | None = 60_000
    ) -> Iterator[Delivery]:
        """A member of the group; at the end of the block it is gone like a killed one."""
        watch = DeliveryMetrics(self.metrics, self.channel.name)
        delivery = Delivery(
            self.broker.connection,
            DeliveryPlan(group=group, renew_ms=renew_ms),
            self.channel,
            watch,
            stop=self.stop,
            now=lambda: self.now_at,
        )
        try:
            yield delivery
        finally:
            delivery.close()


def run_until(is_so: Callable[[], bool], *deliveries: Delivery) -> None:
    def has_become_so() -> bool:
        if is_so():
            return True
        for delivery in deliveries:
            delivery.step()
        return False

    wait_until(has_become_so, "what was delivered", pause_s=0)


@pytest.fixture
def channel() -> Moody:
    return Moody()


@pytest.fixture
def stage(broker: EmbeddedBroker, channel: Moody) -> Stage:
    return Stage(broker, channel)


def are_members(*deliveries: Delivery) -> bool:
    """Return True if each owns partitions, and no two the same."""
    owned = [partition for each in deliveries for partition in each.reader.partitions]
    return all(each.reader.partitions for each in deliveries) and len(owned) == len({*owned})


def open_orders(stage: Stage, channel: MemoryChannel) -> set[str]:
    return {labels["order_id"] for labels in channel.open_at(stage.now_at)}


def open_severities(stage: Stage, channel: MemoryChannel) -> dict[str, list[str]]:
    """Order → the severities of what is open of it."""
    severities: dict[str, list[str]] = {}
    for labels in channel.open_at(stage.now_at):
        severities.setdefault(labels["order_id"], []).append(labels["lane"])
    return severities


def test_an_alert_is_open_from_its_order_s_change_to_the_change_that_ends_it(
    stage: Stage, channel: Moody, producer: Producer
) -> None:
    with stage.delivery() as delivery:
        produce(producer, overdue("SO-1"), overdue("SO-2"))
        run_until(lambda: open_orders(stage, channel) == {"SO-1", "SO-2"}, delivery)
        produce(producer, order("SO-1", 2))
        run_until(lambda: open_orders(stage, channel) == {"SO-2"}, delivery)


def test_a_tombstone_ends_what_was_open(stage: Stage, channel: Moody, producer: Producer) -> None:
    with stage.delivery() as delivery:
        produce(producer, overdue("SO-1"))
        run_until(lambda: open_orders(stage, channel) == {"SO-1"}, delivery)
        retire(producer, "SO-1")
        run_until(lambda: not open_orders(stage, channel), delivery)


def pass_over(stage: Stage, channel: MemoryChannel, *deliveries: Delivery, count: int) -> None:
    """Step until `count` stale documents were read; then nothing may be pending."""
    run_until(lambda: total(stage.metrics.stale_changes.labels(channel.name)) == count, *deliveries)
    for delivery in deliveries:
        delivery.step()
        assert not delivery.ledger.pending


def test_a_stale_document_renews_no_alert_that_is_over(
    stage: Stage, channel: Moody, producer: Producer
) -> None:
    with stage.delivery() as delivery:
        produce(producer, overdue("SO-1", 1), order("SO-1", 2), overdue("SO-2", 1))
        run_until(lambda: open_orders(stage, channel) == {"SO-2"}, delivery)
        produce(producer, overdue("SO-1", 1))
        pass_over(stage, channel, delivery, count=1)
        assert open_orders(stage, channel) == {"SO-2"}


def test_a_stale_document_ends_no_alert_that_is_open(
    stage: Stage, channel: Moody, producer: Producer
) -> None:
    with stage.delivery() as delivery:
        produce(producer, overdue("SO-1", 5))
        run_until(lambda: open_orders(stage, channel) == {"SO-1"}, delivery)
        produce(producer, order("SO-1", 4))
        retire(producer, "SO-1", version=4)
        pass_over(stage, channel, delivery, count=2)
        assert open_orders(stage, channel) == {"SO-1"}


def test_a_stale_document_opens_nothing_of_a_retired_order(
    stage: Stage, channel: Moody, producer: Producer
) -> None:
    with stage.delivery() as delivery:
        produce(producer, overdue("SO-1", 3))
        run_until(lambda: open_orders(stage, channel) == {"SO-1"}, delivery)
        retire(producer, "SO-1", version=3)
        run_until(lambda: not open_orders(stage, channel), delivery)
        produce(producer, overdue("SO-1", 3))
        pass_over(stage, channel, delivery, count=1)
        assert not open_orders(stage, channel)
        produce(producer, overdue("SO-1", 4))
        run_until(lambda: open_orders(stage, channel) == {"SO-1"}, delivery)


def test_a_process_that_takes_over_knows_which_documents_are_stale(
    stage: Stage, channel: Moody, producer: Producer
) -> None:
    with stage.delivery() as first:
        produce(producer, overdue("SO-1", 1), order("SO-1", 3), overdue("SO-2", 1))
        retire(producer, "SO-3", version=9)
        produce(producer, overdue("SO-1", 2))
        pass_over(stage, channel, first, count=1)
        run_until(lambda: open_orders(stage, channel) == {"SO-2"}, first)
    stage.metrics = Metrics()
    with stage.delivery() as second:
        produce(producer, overdue("SO-1", 2), overdue("SO-3", 9), overdue("SO-4", 1))
        run_until(lambda: "SO-4" in open_orders(stage, channel), second)
        # One of them below the committed offset, two behind it.
        pass_over(stage, channel, second, count=3)
        assert open_orders(stage, channel) == {"SO-2", "SO-4"}


def test_an_escalation_ends_the_warning(stage: Stage, channel: Moody, producer: Producer) -> None:
    def severities() -> list[str]:
        return [labels["lane"] for labels in channel.open_at(stage.now_at)]

    with stage.delivery() as delivery:
        produce(producer, order("SO-1", 1, alert(severity="warning")))
        run_until(lambda: severities() == ["warning"], delivery)
        produce(producer, order("SO-1", 2, alert(severity="overdue")))
        run_until(lambda: severities() == ["overdue"], delivery)


def test_an_open_alert_stays_open_as_long_as_somebody_delivers(
    stage: Stage, channel: Moody, producer: Producer
) -> None:
    with stage.delivery() as delivery:
        produce(producer, overdue("SO-1"))
        run_until(lambda: open_orders(stage, channel) == {"SO-1"}, delivery)
        for _ in range(10):
            stage.now_at += delivery.plan.renew_ms or 0
            delivery.step()
        assert open_orders(stage, channel) == {"SO-1"}
        assert channel.arrived == 11
        stage.now_at += delivery.plan.hold_ms
    assert not open_orders(stage, channel), "nobody renews it any more"


def test_without_renewals_an_alert_is_posted_when_it_opens_escalates_and_ends(
    stage: Stage, channel: Moody, producer: Producer
) -> None:
    """Neither time, an outage, a new version of its order nor a new process posts it again."""
    with stage.delivery(renew_ms=None) as delivery:
        produce(producer, order("SO-1", 1, alert(severity="warning")))
        run_until(lambda: open_severities(stage, channel) == {"SO-1": ["warning"]}, delivery)
        stage.now_at += 10**9
        channel.refusals = 1
        produce(producer, order("SO-1", 2, alert(severity="warning")), overdue("SO-2"))
        run_until(lambda: open_orders(stage, channel) == {"SO-1", "SO-2"}, delivery)
        delivery.step()  # commits
    assert channel.arrived == 2
    with stage.delivery(renew_ms=None) as delivery:
        produce(producer, order("SO-1", 3, alert(severity="overdue")))
        escalated = {"SO-1": ["overdue"], "SO-2": ["overdue"]}
        run_until(lambda: open_severities(stage, channel) == escalated, delivery)
        produce(producer, order("SO-2", 2))
        run_until(lambda: open_orders(stage, channel) == {"SO-1"}, delivery)
        assert delivery.ledger.pending == 0
    assert channel.arrived == 5, "the end of a warning, an overdue alert, and an end"


def test_a_new_process_knows_what_is_open_and_ends_what_ended_meanwhile(
    stage: Stage, channel: Moody, producer: Producer
) -> None:
    with stage.delivery() as delivery:
        produce(producer, overdue("SO-1"), overdue("SO-2"))
        run_until(lambda: open_orders(stage, channel) == {"SO-1", "SO-2"}, delivery)
        delivery.step()  # commits
    produce(producer, order("SO-2", 2), overdue("SO-3"))
    stage.now_at += 250_000  # what was posted before is about to run out
    with stage.delivery() as delivery:
        run_until(lambda: open_orders(stage, channel) == {"SO-1", "SO-3"}, delivery)
        stage.now_at += 250_000
        run_until(lambda: open_orders(stage, channel) == {"SO-1", "SO-3"}, delivery)


def test_a_process_that_vanished_before_it_committed_is_followed_by_the_same_alerts(
    stage: Stage, channel: Moody, producer: Producer
) -> None:
    with stage.delivery() as delivery:
        channel.refusals = 1_000_000  # so that nothing is committed
        produce(producer, overdue("SO-1"), overdue("SO-2"))
        run_until(lambda: delivery.ledger.pending == 2, delivery)
    channel.refusals = 0
    with stage.delivery() as delivery:
        run_until(lambda: open_orders(stage, channel) == {"SO-1", "SO-2"}, delivery)
    assert len(channel.last) == 2


def test_what_a_process_posted_and_did_not_commit_is_ended_by_the_next_one(
    stage: Stage, channel: Moody, producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = [
        *map(overdue, ("SO-1", "SO-2")),
        order("SO-3", 1, alert(severity="warning", order_id="SO-3")),
    ]
    with stage.delivery() as delivery, monkeypatch.context() as patch:
        patch.setattr(delivery.reader, "commit", lambda: None)  # killed between post and commit
        produce(producer, *changes)
        run_until(lambda: len(open_orders(stage, channel)) == 3, delivery)
    ended = order("SO-1", 2)
    escalated = order("SO-3", 2, alert(order_id="SO-3"))
    produce(producer, ended, escalated)
    with stage.delivery() as delivery:
        severities = {"SO-2": ["overdue"], "SO-3": ["overdue"]}
        run_until(lambda: open_severities(stage, channel) == severities, delivery)


def test_two_share_the_orders_and_one_takes_over_the_others(
    stage: Stage, channel: Moody, producer: Producer
) -> None:
    orders = {f"SO-{number}" for number in range(40)}
    with stage.delivery() as staying:
        with stage.delivery() as leaving:
            run_until(lambda: are_members(staying, leaving), staying, leaving)
            produce(producer, *map(overdue, sorted(orders)))
            run_until(lambda: open_orders(stage, channel) == orders, staying, leaving)
            held = [sum(each.ledger.lanes.values()) for each in (staying, leaving)]
            assert all(held), "both had some"
            assert sum(held) == len(orders)
        run_until(lambda: sum(staying.ledger.lanes.values()) == len(orders), staying)
        stage.now_at += 400_000
        run_until(lambda: open_orders(stage, channel) == orders, staying)


def test_what_opened_and_ended_while_the_receiver_was_away_is_never_posted(
    stage: Stage, channel: Moody, producer: Producer
) -> None:
    with stage.delivery() as delivery:
        channel.refusals = 1_000_000
        produce(producer, overdue("SO-2"))
        run_until(lambda: delivery.ledger.pending == 1, delivery)
        produce(producer, overdue("SO-1"), order("SO-1", 2))
        retire(producer, "SO-3")
        run_until(lambda: total(stage.metrics.sink_busy) > 3, delivery)
        channel.refusals = 0
        run_until(lambda: open_orders(stage, channel) == {"SO-2"}, delivery)
        run_until(lambda: delivery.ledger.pending == 0, delivery)
    assert {dict(identity)["order_id"] for identity in channel.last} <= {"SO-1", "SO-2"}


def test_a_receiver_that_forgot_everything_in_its_outage_is_told_again(
    stage: Stage, channel: Moody, producer: Producer
) -> None:
    with stage.delivery() as delivery:
        produce(producer, overdue("SO-1"))
        run_until(lambda: open_orders(stage, channel) == {"SO-1"}, delivery)
        channel.last.clear()
        channel.refusals = 1
        produce(producer, overdue("SO-2"))
        run_until(lambda: open_orders(stage, channel) == {"SO-1", "SO-2"}, delivery)


def test_one_alert_that_is_refused_holds_up_none_of_the_others(
    stage: Stage, channel: Moody, producer: Producer
) -> None:
    channel.bad = {"SO-7", "SO-23"}
    orders = {f"SO-{number}" for number in range(40)}
    with stage.delivery() as delivery:
        produce(producer, *map(overdue, sorted(orders)))
        run_until(lambda: open_orders(stage, channel) == orders - channel.bad, delivery)
        assert total(stage.metrics.rejected) == 2
        assert delivery.ledger.pending == 0, "nothing stands in the way of a commit"


def test_what_cannot_be_read_is_counted_and_passed_over(
    stage: Stage, channel: Moody, producer: Producer
) -> None:
    with stage.delivery() as delivery:
        producer.send(ORDERS_CHANGES, b"SO-1", b"{", partition=0)
        producer.send(ORDERS_CHANGES, b"\xff", b"{}", partition=0)
        producer.send(ORDERS_CHANGES, f"{CLOCK_KEY}-0".encode(), None, partition=0)
        produce(producer, overdue("SO-2"))
        run_until(lambda: open_orders(stage, channel) == {"SO-2"}, delivery)
        run_until(lambda: total(stage.metrics.rejected) == 2, delivery)


def test_the_metrics_tell_what_is_open_by_rule_and_never_of_which_order(
    stage: Stage, channel: Moody, producer: Producer
) -> None:
    with stage.delivery() as delivery:
        warning = order("SO-2", 1, alert("unpaid", "warning", "SO-2"))
        produce(producer, overdue("SO-1"), warning, overdue("SO-3"))
        run_until(lambda: len(open_orders(stage, channel)) == 3, delivery)
        produce(producer, order("SO-1", 2))
        run_until(lambda: len(open_orders(stage, channel)) == 2, delivery)
    shown = generate_latest(stage.metrics.registry).decode()
    for line in (
        'ordertide_open_alerts{rule="late_shipping",severity="overdue",sink="memory"} 1.0',
        'ordertide_open_alerts{rule="unpaid",severity="warning",sink="memory"} 1.0',
        'ordertide_lane_orders{lane="overdue",sink="memory"} 1.0',
        'ordertide_notices_total{sink="memory",state="opened"} 3.0',
        'ordertide_notices_total{sink="memory",state="resolved"} 1.0',
        'ordertide_notices_pending{sink="memory"} 0.0',
        'ordertide_delivery_seconds_count{sink="memory"} 4.0',
    ):
        assert line in shown
    assert "SO-" not in shown


def test_live_orders_are_counted_by_status_and_carrier_also_after_a_restart(
    stage: Stage, producer: Producer
) -> None:
    def counts() -> dict[tuple[str, str], float]:
        [family] = stage.metrics.orders_by_status.collect()
        return {(s.labels["status"], s.labels["carrier"]): s.value for s in family.samples}

    status = order("SO-1").status or ""
    with stage.delivery() as delivery:
        produce(producer, order("SO-1", carrier="sf"), order("SO-2", carrier="sf"), order("SO-3"))
        run_until(lambda: counts() == {(status, "sf"): 2, (status, "none"): 1}, delivery)
        produce(producer, order("SO-2", 2, carrier="yto"))
        retire(producer, "SO-3")
        run_until(lambda: counts() == {(status, "sf"): 1, (status, "yto"): 1}, delivery)
    stage.metrics.orders_by_status.clear()
    with stage.delivery() as delivery:
        run_until(lambda: counts() == {(status, "sf"): 1, (status, "yto"): 1}, delivery)
