"""Run lease: one live run of a flow, on whatever host.

A lease is the one partition of the topic `ordertide.lease`, owned as a member of the group
`FLOW.lease`. The broker's group coordinator decides: it gives the partition to one member, and
cooperative-sticky assignment leaves it with the owner when a second run joins. (Fencing by a
transactional id works the other way: there the newcomer wins, so two supervised runs would keep
killing each other.) A run that vanishes loses the lease with its session, after 10 s
(`session.timeout.ms` in the connection's properties). It is a static member (KIP-345,
`group.instance.id`) where it holds a lock that makes it unique on its host: the next owner of that
lock proves that it is gone, and takes its place at once. Such a member doesn't leave when it ends.
After an outage a member may be fenced by itself: librdkafka rejoins, and a heartbeat in flight
carries the old id. Only the lock's owner has its name, so it joins again: the number decides.

A process that was paused or disconnected doesn't notice that it has lost the lease. So `verify` has
the broker confirm it, by an offset that is committed with the member's id, before each commit. That
offset is the number of the run: each takes the next. Its metadata names the holder. So a run whose
session ended in an outage, in which no other run could take the lease either, rejoins, finds its
own name and continues; one that finds another holder has lost. The number is also the fencing token
of the run's workers, which read it themselves (broker.fence); `begin_run` takes a new one for each
run that the holder begins. An embedded broker serves one host: there the lock on the state folder
is enough.
"""

import os
import secrets
import socket
import time
from collections.abc import Callable
from typing import Any, Self

from confluent_kafka import Consumer as RawConsumer
from confluent_kafka import KafkaException, TopicPartition

from broker.clients import Admin, Consumer, weakly
from broker.connect import LOGGER, Connection
from broker.errors import (
    FENCED,
    PASSING,
    REBALANCED,
    Fenced,
    TopicMissing,
    missing_topic,
    refusal,
    worded,
)
from broker.interrupts import answer_of, result_of
from broker.membership import POLL_S, STATIC, leave, member_settings, session_s_of
from broker.outage import OUTAGE
from broker.topics import count_partitions
from schemas.errors import Busy, OrdertideError
from schemas.topics import LEASE

VERIFY_EVERY_S = 1.0
ANSWER_TIMEOUT_S = 10.0
# A broker may learn of a topic some seconds after its creation was acknowledged. A consumer that
# subscribed before that retries only after minutes.
MISSING_FOR_S = 10.0
PARTITION = TopicPartition(LEASE.name, 0)
NOBODY = 0  # the number before the first run's
FIXED = {
    "partition.assignment.strategy": "cooperative-sticky",
    "group.protocol": "classic",
    "enable.auto.commit": False,
    "auto.offset.reset": "latest",
    # An outage stops the flow at its barrier for as long as it lasts: that is no reason to leave.
    "max.poll.interval.ms": 86_400_000,
}


class LeaseHeld(OrdertideError):
    """Another live run of the flow has the lease."""


class LeaseLost(Fenced):
    """The lease went to another run."""


class RunLease:
    """The right to run `flow`, between `with` and its end.

    `instance` names a lock that only one process can hold, and this one holds; `setting` is the key
    of the flow's name.

    Raises:
        LeaseHeld: another run has held it for two sessions, or `stopping` returned True. While no
            other run holds it, a slow broker is waited for.
        TopicMissing, BrokerFailed: it can't be requested.
    """

    def __init__(
        self,
        connection: Connection,
        flow: str,
        *,
        instance: str | None = None,
        stopping: Callable[[], bool] = lambda: False,
        setting: str = "track.group",
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.group = lease_group(flow)
        self._setting = setting
        self._flow = flow
        self._connection = connection
        self._session_s = session_s_of(connection)
        self._stopping = stopping
        self._now_s = now_s
        self._identity = secrets.token_hex(8)
        self._is_member = False  # and the partition is ours
        self._number = NOBODY
        self._verified_at_s = 0.0
        self._instance = instance
        self._client: Consumer  # from `with` on, unless the broker is embedded

    def __enter__(self) -> Self:
        if not self._connection.embedded:
            self._client = self._new_client()
            try:
                self._join()
                self._take()
            except OrdertideError:
                leave(self._client)
                raise
        return self

    def __exit__(self, *_: object) -> None:
        if not self._connection.embedded:
            leave(self._client)

    @property
    def token(self) -> int:
        """Number of this run: its fencing token."""
        return self._number

    def verify(self) -> None:
        """Return if this run may continue; the broker confirms it at most once a second.

        Raises:
            LeaseLost: end this run.
            Busy: the broker is unavailable; retry.
        """
        if self._connection.embedded:
            return
        self._hear(0)
        if self._is_member and self._now_s() - self._verified_at_s < VERIFY_EVERY_S:
            return
        asked_at_s = self._now_s()
        self._check_number()
        self._write_number(self._number)
        self._verified_at_s = asked_at_s

    def begin_run(self) -> int:
        """Take the next number, and return it: the fencing token of the run that begins.

        Workers of an earlier run of this holder are fenced from then on.

        Raises:
            LeaseLost: end this run.
            Busy: the broker is unavailable; call again.
        """
        if self._connection.embedded:
            return self._number
        self._hear(0)
        asked_at_s = self._now_s()
        self._check_number()
        self._write_number(self._number + 1)
        self._number += 1
        self._verified_at_s = asked_at_s
        return self._number

    def _join(self) -> None:
        give_up_at_s = self._now_s() + MISSING_FOR_S
        while self._is_missing():
            if self._now_s() >= give_up_at_s or self._stopping():
                raise missing_topic(LEASE.name)
            time.sleep(POLL_S)
        gone = weakly(self._gone)
        self._client.subscribe(
            [LEASE.name], on_assign=weakly(self._assigned), on_revoke=gone, on_lost=gone
        )

    def _is_missing(self) -> bool:
        try:
            count_partitions(self._client, LEASE.name)
        except TopicMissing:
            return True
        except Busy as busy:
            OUTAGE.failed(str(busy))
        return False

    def _take(self) -> None:
        give_up_at_s = self._now_s() + 2 * self._session_s
        tell_at_s = self._now_s() + self._session_s / 2
        while not self._took():
            if self._stopping():
                raise LeaseHeld(f"flow {self._flow}: stopped while it waited for the run lease")
            if self._now_s() >= give_up_at_s:
                if holders := self._holders():
                    raise LeaseHeld(
                        f"flow {self._flow}: {holders}; stop that run, or give this one a group of "
                        f"its own ({self._setting}) if it is another flow"
                    )
                give_up_at_s = self._now_s() + self._session_s  # the broker forms the group slowly
            if self._now_s() >= tell_at_s:
                tell_at_s = give_up_at_s
                holders = self._holders() or "no other run holds it"
                LOGGER.info("flow %s: waiting for the run lease: %s", self._flow, holders)

    def _took(self) -> bool:
        asked_at_s = self._now_s()
        try:
            self._hear(POLL_S)
            if not self._is_member:
                return False
            number = self._read()[0] + 1
            self._write_number(number)
        except Busy:
            return False
        self._number, self._verified_at_s = number, asked_at_s
        return True

    def _check_number(self) -> None:
        """Check that no other run took the lease; a run that isn't a member retries later."""
        number, holder = self._read()
        if holder != self._identity:
            raise LeaseLost(
                f"flow {self._flow}: another run has taken over (run {number}; this one is run "
                f"{self._number}, and was silent for {self._session_s:.0f} s); this one ends "
                "without flushing"
            )
        self._number = number  # a commit whose answer was lost may have been taken
        if not self._is_member:
            self._hear(POLL_S)
            raise Busy(f"flow {self._flow}: waiting to get the run lease back", POLL_S)

    def _read(self) -> tuple[int, str]:
        """The number of the latest run, and the holder that committed it."""
        try:
            stored = answer_of(
                lambda: self._client.committed([PARTITION], timeout=ANSWER_TIMEOUT_S)
            )[0]
        except KafkaException as failed:
            raise self._unanswered(failed.args[0]) from failed
        if stored.error:
            raise self._unanswered(stored.error)
        return max(int(stored.offset), NOBODY), stored.metadata or ""

    def _write_number(self, number: int) -> None:
        """Commit the number: the broker accepts it only from the member that owns the partition."""
        try:
            mine = TopicPartition(LEASE.name, 0, number, metadata=self._identity)
            self._client.commit(offsets=[mine], asynchronous=False)
        except KafkaException as failed:
            raise self._unanswered(failed.args[0]) from failed

    def _unanswered(self, error: Any) -> OrdertideError:  # noqa: ANN401 - taken from exception args
        if error.name() in FENCED and self._instance:
            return self._joins_again()
        if error.name() not in REBALANCED | PASSING:
            return refusal(f"group {self.group}", error)
        if error.name() in PASSING:
            OUTAGE.failed(f"group {self.group}: {error.str()}")
        self._hear(POLL_S)
        return Busy(f"flow {self._flow}: the run lease is not confirmed: {error.str()}", POLL_S)

    def _hear(self, timeout_s: float) -> None:
        """Let the client call back; what comes besides is an error."""
        found = self._client.poll(timeout_s)
        error = found.error() if found is not None else None
        if error is not None and error.name() in FENCED and self._instance:
            raise self._joins_again()
        if error is not None and error.name() not in PASSING | REBALANCED:
            raise refusal(f"topic {LEASE.name}, group {self.group}", error)

    def _joins_again(self) -> Busy:
        """With a new client, as nothing can be done with one that was fenced."""
        LOGGER.warning("flow %s: the run lease's member was fenced; rejoining", self._flow)
        leave(self._client)
        self._is_member = False
        self._client = self._new_client()
        self._join()
        return Busy(f"flow {self._flow}: waiting to get the run lease back", POLL_S)

    def _holders(self) -> str:
        """Other runs that hold the lease, in words; none while the broker doesn't name them."""
        try:
            with Admin(self._connection.config("admin")) as admin:
                asked = admin.client.describe_consumer_groups(
                    [self.group], request_timeout=ANSWER_TIMEOUT_S
                )
                members = result_of(asked[self.group], ANSWER_TIMEOUT_S + 1).members
        except (KafkaException, TimeoutError) as error:
            OUTAGE.failed(f"group {self.group}: {worded(error)}")
            return ""
        ours = self._client.memberid()
        held = [m for m in members if m.assignment and m.assignment.topic_partitions]
        others = [m for m in held if m.member_id != ours]
        return "; ".join(f"{m.client_id} on {m.host} holds it" for m in others)

    def _assigned(self, _: RawConsumer, parts: list[TopicPartition]) -> None:
        self._is_member = self._is_member or bool(parts)

    def _gone(self, _: RawConsumer, parts: list[TopicPartition]) -> None:
        self._is_member = self._is_member and not parts

    def _new_client(self) -> Consumer:
        static = {STATIC: self._instance} if self._instance else {}
        who = f"{self._connection.client_id}-{socket.gethostname()}-{os.getpid()}"
        return Consumer(
            {
                **self._connection.config("consumer"),
                **FIXED,
                **static,
                **member_settings(self._connection),
                "client.id": who,
                "group.id": self.group,
            }
        )


def lease_group(flow: str) -> str:
    """The consumer group whose member holds the lease of `flow`."""
    return f"{flow}.lease"
