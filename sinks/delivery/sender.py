"""Getting what is due through to the channel: in batches, patiently, and one bad one apart."""

import logging
import time
from collections.abc import Callable, Sequence

from broker.backoff import Backoff
from schemas.errors import Busy, Rejected
from sinks.channels.alert_message import Notice, Posting
from sinks.channels.channel import Channel
from sinks.delivery.entries import LedgerEntry
from sinks.delivery.ledger import Ledger
from sinks.delivery.metrics import DeliveryMetrics

LOGGER = logging.getLogger("ordertide.delivery")

# A batch of 200 is about 200 kB. Between two reads of the topic at most 20 are posted, so that
# membership of the group and fresh alerts don't wait for 100,000 renewals.
BATCH_NOTICES = 200
BATCHES_A_ROUND = 20
MAX_WAIT_S = 30.0


class AlertSender:
    """Sender: posts the entries due in the ledger; returns early while the channel is busy.

    Reading continues meanwhile: an alert that opened and ended while the receiver was unavailable
    is never posted.
    """

    def __init__(
        self,
        ledger: Ledger,
        channel: Channel,
        watch: DeliveryMetrics,
        annotated: Callable[[Notice], Notice],
        now: Callable[[], int],
    ) -> None:
        """Create a sender. `annotated` completes a notice; `now` gives the wall clock in ms."""
        self.ledger = ledger
        self.channel = channel
        self.watch = watch
        self.annotated = annotated
        self.now = now
        self._backoff = Backoff(MAX_WAIT_S)
        self._not_before = 0.0  # time.monotonic()

    def post_due(self) -> None:
        """Post until nothing is due or the channel is busy."""
        if time.monotonic() < self._not_before:
            return
        for _ in range(BATCHES_A_ROUND):
            entries = self.ledger.due(self.now(), BATCH_NOTICES)
            if not entries or not self._got_through(entries):
                return

    def _got_through(self, entries: Sequence[LedgerEntry]) -> bool:
        """Post a batch; return False and give the rest back if the channel is busy."""
        began = time.perf_counter()
        now_at = self.now()
        try:
            self.channel.post([self._posting(entry, now_at) for entry in entries])
        except Busy as busy:
            self.ledger.requeue(entries)
            self._wait(busy)
            return False
        except Rejected as rejected:
            return self._halved(entries, rejected)
        self.watch.posted(entries, time.perf_counter() - began)
        self.ledger.settle(entries, now_at)
        self._answered()
        return True

    def _posting(self, entry: LedgerEntry, now_at: int) -> Posting:
        posting = self.ledger.posting(entry, now_at)
        return posting._replace(notice=self.annotated(posting.notice))

    def _halved(self, entries: Sequence[LedgerEntry], rejected: Rejected) -> bool:
        """Find out which of them it is; posting the others again changes nothing."""
        if len(entries) == 1:
            self._refuse(entries[0], rejected)
            return True
        half = len(entries) // 2
        if not self._got_through(entries[:half]):
            self.ledger.requeue(entries[half:])
            return False
        return self._got_through(entries[half:])

    def _refuse(self, entry: LedgerEntry, rejected: Rejected) -> None:
        labels = entry.notice.labels
        LOGGER.warning(
            "%s: alert %s of order %s is refused: %s; it isn't offered again",
            *(self.channel.name, labels.get("alert_id"), labels.get("order_id"), rejected),
        )
        self.ledger.refuse(entry)
        self.watch.refused(rejected.code)
        self._answered()

    def _wait(self, busy: Busy) -> None:
        wait_s = self._backoff.next_s(busy.retry_after_s)
        self._not_before = time.monotonic() + wait_s
        LOGGER.warning("%s: waiting %.1f s: %s", self.channel.name, wait_s, busy.reason)
        self.watch.waiting(busy.reason, wait_s)

    def _answered(self) -> None:
        if self._backoff.is_failing:
            # Alertmanager keeps alerts in memory: after an outage it may have none.
            self.ledger.invalidate()
            self._backoff.reset()
