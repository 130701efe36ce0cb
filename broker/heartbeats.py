"""Heartbeats: a message a second to a topic of our own, for the append time in its acknowledgement.

One for each process, on a thread and a client of their own: the dataflow's producer batches, waits
at barriers and may be inside a transaction. An acknowledgement by the leader alone is enough, as
the message itself is worth nothing.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any, Self

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, KafkaError, TopicPartition

from broker import clients
from broker.broker_time import BrokerTime, HostClock, steady_ms
from broker.connect import Connection
from broker.end_offsets import EndOffsets
from broker.errors import PASSING, BrokerFailed, refusal
from broker.fetcher import Fetcher
from broker.interrupts import Waiting
from broker.outage import OUTAGE
from broker.produce import Producer
from broker.topics import ANSWER_TIMEOUT_S, partition_count
from schemas.errors import Busy, OrdertideError
from schemas.topics import CLOCK

LOGGER = logging.getLogger("ordertide.broker")

EVERY_S = 1.0
POLL_S = 0.1
SETTINGS = {
    "acks": "1",
    "linger.ms": 0,
    # One that isn't acknowledged by then is given up, and the next one is sent.
    "message.timeout.ms": 5_000,
}


class Heartbeats:
    """Keeps `time` between `with` and its end.

    Raises:
        Busy: no first heartbeat was acknowledged.
        BrokerFailed: the topic may not be written to, or keeps create times.
    """

    def __init__(
        self,
        connection: Connection,
        time: BrokerTime,
        host: HostClock,
        every_s: float = EVERY_S,
        steady: Callable[[], int] = steady_ms,
    ) -> None:
        self.time = time
        self._connection = connection
        self._host = host
        self._every_s = every_s
        self._steady = steady
        self._stop = threading.Event()
        self._client: clients.Producer | None = None
        self._is_under_way = False
        self._failure: OrdertideError | None = None
        self._reported: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="heartbeats", daemon=True)

    def __enter__(self) -> Self:
        if self._connection.embedded:
            self.time.fix(*first_heartbeat(self._connection))
        else:
            self._client = clients.Producer({**self._connection.config("producer"), **SETTINGS})
            try:
                self._wait_for_the_first(self._client)
            except BaseException:
                self._close()
                raise
        self._host.check()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._close()

    def _close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _wait_for_the_first(self, client: clients.Producer) -> None:
        give_up_ms = self._steady() + int(ANSWER_TIMEOUT_S * 1000)
        waiting = Waiting()
        while not self.time.is_known:
            self._send(client)
            client.poll(POLL_S)
            waiting.check()
            if self._failure is not None:
                raise self._failure
            if self._steady() >= give_up_ms:
                raise Busy(
                    f"topic {CLOCK.name}: no heartbeat was acknowledged within "
                    f"{ANSWER_TIMEOUT_S:.0f} s; check that the broker runs and that the topic "
                    "has a leader"
                )

    def _run(self) -> None:
        due_ms = self._steady()
        while not self._stop.is_set():
            if self._steady() >= due_ms:
                due_ms = self._steady() + int(self._every_s * 1000)
                if self._client is not None:
                    self._send(self._client)
                self._host.check()
            if self._client is not None:
                self._client.poll(POLL_S)
            else:
                self._stop.wait(POLL_S)

    def _send(self, client: clients.Producer) -> None:
        if self._is_under_way:
            return
        self._is_under_way = True
        sent_ms = self._steady()
        client.produce(
            CLOCK.name,
            b"%d" % sent_ms,
            partition=0,
            on_delivery=lambda error, message: self._acknowledged(error, message, sent_ms),
        )

    def _acknowledged(self, error: KafkaError | None, message: Any, sent_ms: int) -> None:  # noqa: ANN401 - as confluent's stub has it
        self._is_under_way = False
        if error is not None:
            self._failed(error)
            return
        kind, appended_at = message.timestamp()
        if kind != TIMESTAMP_LOG_APPEND_TIME:
            self._fail(
                BrokerFailed(
                    f"topic {CLOCK.name}: keeps create times, so it doesn't give the broker's "
                    "time; kafka-configs.sh --alter --entity-type topics --entity-name "
                    f"{CLOCK.name} --add-config message.timestamp.type=LogAppendTime"
                )
            )
            return
        self.time.heartbeat(sent_ms, appended_at, self._steady())
        self._reported.clear()
        OUTAGE.worked()

    def _failed(self, error: KafkaError) -> None:
        if error.name() in PASSING or error.name() in {"_MSG_TIMED_OUT", "_PURGE_QUEUE"}:
            OUTAGE.failed(f"topic {CLOCK.name}: no heartbeat, the clock holds: {error.str()}")
        else:
            self._fail(refusal(f"topic {CLOCK.name}", error))

    def _fail(self, failure: OrdertideError) -> None:
        """Raise before the first heartbeat; later hold the clock, and log the reason once."""
        if not self.time.is_known:
            self._failure = failure
        elif str(failure) not in self._reported:
            self._reported.add(str(failure))
            LOGGER.error("heartbeats: the clock holds: %s", failure)


def first_heartbeat(connection: Connection) -> tuple[int, int]:
    """(broker time, steady clock) in ms of the one heartbeat that an embedded broker gets.

    Its messages carry the wall clock of their sender, so there is no broker's clock to read. The
    value recorded by the first process counts for all that come later: they share the host, and
    with it the steady clock.

    Raises:
        Busy: the broker is unavailable.
    """
    partition_count(connection, CLOCK.name)  # makes the topic
    with EndOffsets(connection) as ends:
        is_first = ends.get(CLOCK.name, 0, ANSWER_TIMEOUT_S) == 0
    if is_first:
        with Producer(connection) as producer:
            producer.send(CLOCK.name, None, b"%d" % steady_ms(), partition=0)
    with Fetcher(connection, connection.client_id) as fetcher:
        fetcher.client.assign([TopicPartition(CLOCK.name, 0, 0)])
        found = fetcher.fetch(1, ANSWER_TIMEOUT_S)
    if not found:
        raise Busy(f"topic {CLOCK.name}: no answer within {ANSWER_TIMEOUT_S:.0f} s; start again")
    return found[0].timestamp_ms, int(found[0].value or b"0")
