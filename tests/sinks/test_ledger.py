"""The ledger: the open alerts, those delivered, and the difference to be posted."""

import random
from collections.abc import Sequence
from itertools import pairwise

from sinks.channels.alert_message import Notice, Posting
from sinks.channels.memory import MemoryChannel
from sinks.delivery.entries import OrderKey
from sinks.delivery.ledger import Ledger
from sinks.delivery.metrics import DeliveryMetrics
from sinks.delivery.sender import BATCH_NOTICES, AlertSender
from telemetry.metrics import Metrics
from tests.support.alerts import notice

RENEW_MS, HOLD_MS = 60_000, 300_000
NOW = 1_700_000_000_000


class Desk:
    """A ledger with a channel that takes everything."""

    def __init__(self) -> None:
        self.ledger = Ledger(RENEW_MS, HOLD_MS)
        self.channel = MemoryChannel()

    def set_desired(self, order_id: str, *notices: Notice, partition: int = 0) -> None:
        self.ledger.set_desired(OrderKey(partition, order_id), "overdue", notices, NOW)

    def load_delivered(self, order_id: str, *notices: Notice, partition: int = 0) -> None:
        self.ledger.load_delivered(OrderKey(partition, order_id), "overdue", notices)

    def post(self, now_at: int) -> list[tuple[str, bool]]:
        """Post all that is due; (order id, is it over) of each."""
        entries = self.ledger.due(now_at, limit=1_000)
        postings = [self.ledger.posting(entry, now_at) for entry in entries]
        self.channel.post(postings)
        self.ledger.settle(entries, now_at)
        return [(each.notice.labels["order_id"], each.resolved) for each in postings]

    def is_open(self, now_at: int) -> set[str]:
        return {labels["order_id"] for labels in self.channel.open_at(now_at)}


def test_an_alert_is_posted_when_it_opens_and_when_it_ends() -> None:
    desk = Desk()
    desk.set_desired("SO-1", notice("SO-1"))
    assert desk.post(NOW) == [("SO-1", False)]
    desk.set_desired("SO-1")
    assert desk.post(NOW) == [("SO-1", True)]
    assert desk.post(NOW + HOLD_MS) == []


def test_an_open_alert_is_renewed_long_before_it_runs_out() -> None:
    desk = Desk()
    desk.set_desired("SO-1", notice("SO-1"))
    posted = [at for at in range(NOW, NOW + 10 * HOLD_MS, 1_000) if desk.post(at)]
    gaps = {later - earlier for earlier, later in pairwise(posted)}
    assert gaps == {RENEW_MS}
    assert desk.is_open(NOW + 10 * HOLD_MS) == {"SO-1"}


def test_a_change_that_leaves_the_alert_open_posts_nothing() -> None:
    desk = Desk()
    desk.set_desired("SO-1", notice("SO-1"))
    desk.post(NOW)
    desk.set_desired("SO-1", notice("SO-1"))
    assert desk.post(NOW) == []


def test_an_alert_that_opened_and_ended_before_it_was_ever_posted_is_never_posted() -> None:
    desk = Desk()
    desk.set_desired("SO-1", notice("SO-1"))
    desk.set_desired("SO-1")
    assert desk.ledger.pending == 0
    assert desk.post(NOW) == []


def test_an_alert_that_may_have_arrived_is_ended_by_name() -> None:
    desk = Desk()
    desk.set_desired("SO-1", notice("SO-1"))
    desk.ledger.requeue(desk.ledger.due(NOW, 10))  # no answer: delivered or not
    desk.set_desired("SO-1")
    assert desk.post(NOW) == [("SO-1", True)]


def test_an_alert_that_opens_again_before_its_end_was_posted_stays_open() -> None:
    desk = Desk()
    desk.set_desired("SO-1", notice("SO-1"))
    desk.post(NOW)
    desk.set_desired("SO-1")
    desk.set_desired("SO-1", notice("SO-1"))
    assert desk.post(NOW) == [("SO-1", False)]
    assert desk.ledger.open_alerts == {("late_shipping", "overdue"): 1}


def test_what_was_known_is_renewed_at_once_and_ended_when_it_is_over() -> None:
    desk = Desk()
    desk.load_delivered("SO-1", notice("SO-1"))
    desk.load_delivered("SO-2", notice("SO-2"))
    assert desk.ledger.pending == 0, "the process before has seen to it"
    desk.set_desired("SO-2")
    assert desk.post(NOW) == [("SO-1", False), ("SO-2", True)]


def test_of_what_is_known_of_an_order_the_last_counts() -> None:
    desk = Desk()
    desk.load_delivered("SO-1", notice("SO-1"))
    desk.load_delivered("SO-1")
    assert desk.post(NOW) == []
    assert not +desk.ledger.lanes


def test_news_goes_before_renewals() -> None:
    desk = Desk()
    desk.set_desired("SO-1", notice("SO-1"))
    desk.post(NOW)
    desk.set_desired("SO-2", notice("SO-2"))
    assert desk.post(NOW + RENEW_MS) == [("SO-2", False), ("SO-1", False)]


def test_a_refused_alert_is_neither_offered_again_nor_ended() -> None:
    desk = Desk()
    desk.set_desired("SO-1", notice("SO-1"))
    desk.ledger.refuse(desk.ledger.due(NOW, 1)[0])
    assert desk.ledger.pending == 0
    desk.ledger.invalidate()
    desk.set_desired("SO-1")
    assert desk.post(NOW + HOLD_MS) == []


def test_after_an_outage_all_that_is_open_is_renewed_at_once() -> None:
    desk = Desk()
    desk.set_desired("SO-1", notice("SO-1"))
    desk.set_desired("SO-2", notice("SO-2"))
    desk.post(NOW)
    desk.ledger.invalidate()
    assert sorted(desk.post(NOW)) == [("SO-1", False), ("SO-2", False)]


def test_a_partition_that_went_elsewhere_is_forgotten_without_a_word() -> None:
    desk = Desk()
    desk.set_desired("SO-1", notice("SO-1"), partition=1)
    desk.set_desired("SO-2", notice("SO-2"), partition=2)
    desk.post(NOW)
    desk.ledger.drop(1)
    assert desk.post(NOW + RENEW_MS) == [("SO-2", False)]
    assert desk.ledger.lanes["overdue"] == 1


def test_whatever_happens_the_receiver_ends_up_with_what_is_open(rng: random.Random) -> None:
    desk, wanted, now_at = Desk(), dict[str, bool](), NOW
    for _ in range(3_000):
        order_id = f"SO-{rng.randrange(20)}"
        wanted[order_id] = rng.random() < 0.5
        desk.set_desired(order_id, *[notice(order_id)] * wanted[order_id])
        match rng.randrange(4):
            case 0:
                desk.post(now_at)
            case 1:
                desk.ledger.requeue(desk.ledger.due(now_at, rng.randrange(5)))
            case 2:
                desk.ledger.invalidate()
        now_at += rng.randrange(5_000)
    desk.post(now_at)
    expected = {order_id for order_id, is_open in wanted.items() if is_open}
    assert desk.is_open(now_at) == expected
    assert desk.ledger.pending == 0
    assert desk.ledger.open_alerts["late_shipping", "overdue"] == len(expected)
    assert desk.ledger.lanes["overdue"] == len(expected)


class Counting(MemoryChannel):
    """A channel that keeps the size of each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def post(self, postings: Sequence[Posting]) -> None:
        self.batches.append(len(postings))
        super().post(postings)


def test_what_is_due_is_posted_in_few_batches_and_without_renewals_once() -> None:
    ledger, channel, now = Ledger(None, HOLD_MS), Counting(), iter(range(NOW, NOW + 10**9, HOLD_MS))
    watch = DeliveryMetrics(Metrics(), "memory")
    sender = AlertSender(ledger, channel, watch, lambda told: told, lambda: next(now))
    for number in range(2 * BATCH_NOTICES + 1):
        name = f"SO-{number}"
        ledger.set_desired(OrderKey(0, name), "overdue", [notice(name)], NOW)
    for _ in range(5):
        sender.post_due()
    assert channel.batches == [BATCH_NOTICES, BATCH_NOTICES, 1]
    assert all(posting.ends_at is None for posting in channel.last.values())
