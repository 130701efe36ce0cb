"""Fencing token: a worker verifies for itself that its run is still the latest.

Theory of operation: the fence
------------------------------
No two runs of a flow may write. Three mechanisms, each for what the others can't do:

1. The *lease* (broker/lease.py) chooses one run: it is the member of a consumer group that owns the
   one partition of `ordertide.lease`. A second run waits for it and then gives up.
2. The *fencing token* ends a run that was replaced. It is the number of the run, which the holder
   of the lease commits as the group's offset: each run commits the next number before it touches
   the state. `Fence.verify` reads the offset back, without being a member of the group, so no
   process has to vouch for another and no clocks of two hosts are compared. A worker calls it
   before its barrier, at most once a second: a greater number ends it before it flushes or commits
   state.
3. *Transactional ids* stop what a replaced worker has handed to its client. It may be paused
   between `verify` and the flush, or librdkafka may send in the background. `fence_writers` calls
   `init_transactions` for all ids of the flow before the workers of the new run start: the broker
   aborts what was open under them, and refuses what still comes.

The order is the point: token, then ids, then state. A worker of the run before that verified just
before the token grew can't commit its transaction after the ids were taken, and it stores no state
without its transaction. The bucket has a fence of its own, for a state that is shared by hosts
(dataflows/state/remote/log.py); a state folder has a file lock.

    a replaced worker is paused         what stops it once it continues
    before `verify`                     2: it ends with exit code 3
    between `verify` and the flush      3: its transaction is refused, so it stores no state
    between the flush and its state     the fence record in its log in the bucket; a folder's lock
                                        lets no run begin while it lives. The new run resumes before
                                        that epoch and emits it again: same ids, same versions

While the broker is unavailable nobody can confirm the token: `verify` raises Busy, nothing is
flushed, and nobody can take over either.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from broker.clients import Consumer
from broker.connect import Connection
from broker.errors import PASSING, refusal
from broker.interrupts import answer_of
from broker.lease import ANSWER_TIMEOUT_S, PARTITION, VERIFY_EVERY_S, LeaseLost, lease_group
from broker.outage import OUTAGE
from broker.produce import Producer
from broker.transactions import IDS, transactional_id
from schemas.errors import Busy, OrdertideError


class Fence:
    """Verifies `token` for the run of `flow`; an embedded broker has no lease, hence no fence."""

    def __init__(
        self,
        connection: Connection,
        flow: str,
        token: int,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create the client; the broker is not queried yet."""
        self.flow = flow
        self.token = token
        self.group = lease_group(flow)
        self._now_s = now_s
        self._verified_at_s = -VERIFY_EVERY_S
        self._client: Consumer | None = None
        if not connection.embedded:
            self._client = Consumer({**connection.config("consumer"), "group.id": self.group})

    def verify(self) -> None:
        """Return if no other run has begun; the broker is queried at most once a second.

        Raises:
            LeaseLost: another run has taken over.
            Busy: the broker is unavailable; nothing may be flushed, call again.
            BrokerFailed: it refuses.
        """
        queried_at_s = self._now_s()
        if self._client is None or queried_at_s - self._verified_at_s < VERIFY_EVERY_S:
            return
        token = self._read(self._client)
        if token != self.token:
            raise LeaseLost(
                f"flow {self.flow}: another run has taken over (run {token}; this one is run "
                f"{self.token}); this one ends without flushing"
            )
        self._verified_at_s = queried_at_s

    def close(self) -> None:
        """Close the client."""
        if self._client is not None:
            self._client.close()

    def _read(self, client: Consumer) -> int:
        try:
            stored: TopicPartition = answer_of(
                lambda: client.committed([PARTITION], timeout=ANSWER_TIMEOUT_S)
            )[0]
        except KafkaException as failed:
            raise self._unanswered(failed.args[0]) from failed
        if stored.error:
            raise self._unanswered(stored.error)
        return int(stored.offset)

    def _unanswered(self, error: KafkaError) -> OrdertideError:
        if error.name() not in PASSING:
            return refusal(f"group {self.group}", error)
        OUTAGE.failed(f"group {self.group}: {error.str()}")
        return Busy(f"flow {self.flow}: the fencing token is not confirmed: {error.str()}")


def fence_writers(connection: Connection, flow: str, stopping: Callable[[], bool]) -> None:
    """Fence every producer that an earlier run of `flow` may have left: half a second.

    All ids, as that run may have had more workers. An embedded broker has no transactions.

    Raises:
        Busy: `stopping` returned True. BrokerFailed: the broker refuses.
    """
    if connection.embedded:
        return

    def fence(worker: int) -> None:
        initialise(connection, transactional_id(flow, worker), stopping)

    with ThreadPoolExecutor(IDS, thread_name_prefix="fence") as pool:
        for _ in pool.map(fence, range(IDS)):
            pass


@contextmanager
def settled(connection: Connection, name: str, verify: Callable[[], None]) -> Iterator[None]:
    """At a clean end, wait until readers see all that the producer `name` has committed.

    A commit returns when it is decided, some ms before its markers are written. `name` is closed by
    then; `verify` raises where it is another run's. No answer from the broker ends the wait.
    """
    yield
    with suppress(Busy):
        initialise(connection, name, lambda: True, verify)


def initialise(
    connection: Connection,
    name: str,
    stopping: Callable[[], bool],
    verify: Callable[[], None] | None = None,
) -> None:
    """Fence the producer `name`; the broker answers once its last transaction is complete."""
    producer = Producer(connection, before_flush=verify, transactional_id=name)
    with closing(producer):
        producer.init_transactions(stopping)
