"""Transactions of a flow's producers: one an epoch, under fixed transactional ids.

A worker's outputs of an epoch are one transaction, which is committed at its barrier before the
state is. A crash between the two leaves outputs whose state is not stored: the next run emits them
again, with the same ids and versions. A crash before leaves a transaction that the next run aborts,
so that state is never stored while its outputs are missing. Readers read committed.

Worker n of a flow has the id `FLOW-n`. `init_transactions` makes the broker abort what the
predecessor under the id left open, and refuse whatever it sends from then on, however late: also
what its librdkafka had queued when the process was paused. A new run fences all ids, as the one
before may have had more workers.
"""

import time
from collections.abc import Callable

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException

from broker.errors import PASSING, BrokerFailed, DeliveryFailed, EpochAborted, Fenced, refusal
from broker.outage import OUTAGE
from schemas.errors import Busy, OrdertideError

IDS = 16  # as many as a flow can have workers
INIT_TIMEOUT_S = 1.0
RETRY_AFTER_S = 0.1
# The broker's own maximum by default. An outage or a paused peer holds an epoch's transaction open;
# what a dead run left open is aborted by the next run, not by this.
TIMEOUT_MS = 15 * 60 * 1000
CONCURRENT = "CONCURRENT_TRANSACTIONS"  # the predecessor's last one is being completed
FENCED = frozenset({"_FENCED", "INVALID_PRODUCER_EPOCH", "PRODUCER_FENCED"})


def transactional_id(flow: str, worker: int) -> str:
    """The id of a worker's producer."""
    return f"{flow}-{worker:02d}"


class Transactions:
    """The transactions of one producer client."""

    def __init__(self, client: confluent_kafka.Producer, name: str) -> None:
        """Wrap `client`, whose transactional id is `name`; `init` comes first."""
        self.name = name
        self.is_open = False
        self._client = client

    def init(self, verify: Callable[[], None] | None, stopping: Callable[[], bool]) -> None:
        """Fence the predecessor; waits while the broker is unavailable.

        `verify` raises where this run was replaced itself: it has no predecessor to fence.

        Raises:
            Busy: `stopping` returned True. BrokerFailed: the broker refuses.
            Fenced: a newer producer was faster.
        """
        while True:
            try:
                if verify:
                    verify()
                self._init_once()
            except Busy as busy:
                if stopping():
                    raise
                if CONCURRENT not in busy.reason:
                    OUTAGE.failed(busy.reason)
                time.sleep(busy.retry_after_s)
            else:
                return

    def _init_once(self) -> None:
        try:
            self._client.init_transactions(INIT_TIMEOUT_S)
        except KafkaException as failed:
            raise failure_of(self.name, failed.args[0]) from failed

    def begin(self) -> None:
        """Open a transaction unless one is open; the broker learns of it with the first message."""
        if self.is_open:
            return
        try:
            self._client.begin_transaction()
        except KafkaException as failed:
            raise failure_of(self.name, failed.args[0]) from failed
        self.is_open = True

    def commit(self, timeout_s: float) -> None:
        """Commit what is open; does nothing where nothing is.

        Raises:
            Busy: no answer within `timeout_s`; call again.
            EpochAborted, Fenced: nothing of the transaction is visible to readers.
        """
        if not self.is_open:
            return
        try:
            self._client.commit_transaction(timeout_s)
        except KafkaException as failed:
            raise failure_of(self.name, failed.args[0]) from failed
        self.is_open = False


def failure_of(name: str, error: KafkaError) -> OrdertideError:
    """The error to raise for one of the producer with the transactional id `name`."""
    subject = f"producer {name}"
    text = f"{error.str()} ({error.name()})"
    if error.name() in FENCED:
        return fenced(name)
    if refused := refused_by(subject, error, text):
        return refused
    if error.retriable() or error.name() in PASSING:
        return Busy(f"{subject}: no answer to its transaction: {text}", RETRY_AFTER_S)
    if error.txn_requires_abort() or error.fatal():
        return EpochAborted(f"{subject}: the epoch's transaction was aborted: {text}")
    return refusal(subject, error)


def refused_by(subject: str, error: KafkaError, text: str) -> OrdertideError | None:
    """The error for a request that the broker's rights or settings forbid, with the remedy."""
    if error.name().startswith("TRANSACTIONAL_ID_AUTHORIZATION"):
        return BrokerFailed(
            f"{subject}: {text}; allow broker.user to WRITE to and DESCRIBE transactional ids that "
            "begin with the flow's group (track.group)"
        )
    if "AUTHORIZATION" in error.name():
        return DeliveryFailed(
            f"{subject}: nothing of the epoch was delivered: {text}; allow broker.user to WRITE to "
            "the topics orders.* and events.rejected"
        )
    if error.name() == "INVALID_TRANSACTION_TIMEOUT":
        return BrokerFailed(
            f'{subject}: {text}; set "transaction.timeout.ms" under broker.properties to at most '
            "the broker's transaction.max.timeout.ms"
        )
    return None


def fenced(name: str) -> Fenced:
    """The error of a producer that was replaced."""
    return Fenced(
        f"producer {name}: another run has taken over (fenced by the broker); this one ends "
        "without flushing",
        f"producer {name}",
    )
