"""Confirming producer: batches whose outcome each sender waits for, from any thread.

`Producer` confirms everything since its last flush, and is finished after a failure: right for one
writer, wrong for requests that run side by side. Here each batch has a future of its own, which is
done once all of its messages are in the broker's log, on all replicas in sync. A message that isn't
there in time fails; it may still arrive, so what is sent again must be known by its content.
"""

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress

from confluent_kafka import KafkaError, KafkaException

from broker import clients
from broker.connect import Connection
from broker.errors import worded
from broker.outage import OUTAGE
from broker.produce import FIXED, TUNED, Record
from schemas.errors import Busy

POLL_S = 0.1
RETRY_AFTER_S = 5.0
PROPERTIES = {**TUNED, **FIXED, "delivery.report.only.error": False}


class Batch:
    """Messages whose outcomes are counted; `future` is done with the last of them."""

    def __init__(self, count: int) -> None:
        """Create a batch of so many messages."""
        self.future = Future[None]()
        self._count = count
        self._failure: Busy | None = None
        self._lock = threading.Lock()

    def delivered(self, error: KafkaError | None, _message: object) -> None:
        """Count a message; called in the thread that polls."""
        if error is not None:
            OUTAGE.failed(f"a message was not delivered: {error.str()}")
            self.fail(Busy(f"broker: {error.str()} ({error.name()})", RETRY_AFTER_S))
        self._count_one()

    def fail(self, failure: Busy) -> None:
        """Note the first failure; the future has it once all outcomes are known."""
        self._failure = self._failure or failure

    def refuse(self, failure: Busy, unsent: int) -> None:
        """Fail, with messages that were never handed over."""
        self.fail(failure)
        for _ in range(unsent):
            self._count_one()

    def _count_one(self) -> None:
        with self._lock:
            self._count -= 1
            is_last = not self._count
        if not is_last or not self.future.set_running_or_notify_cancel():
            return
        if self._failure:
            self.future.set_exception(self._failure)
        else:
            self.future.set_result(None)


class ConfirmingProducer:
    """Sends batches until `close`; a message has `timeout_s` to be in the broker's log."""

    def __init__(self, connection: Connection, timeout_s: float = 10.0) -> None:
        """Create a producer that connects at once."""
        self._config = {
            **connection.config("producer"),
            **PROPERTIES,
            "message.timeout.ms": round(timeout_s * 1000),
        }
        self._client = clients.Producer(self._config)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="confirmations", daemon=True)
        self._thread.start()

    def send(self, topic: str, records: Sequence[Record]) -> "Future[None]":
        """Send a batch; the future is done once all of it is in the broker's log.

        It raises `Busy` where that isn't certain: send the batch again.
        """
        batch = Batch(max(1, len(records)))
        if not records:
            batch.delivered(None, None)
        for place, record in enumerate(records):
            try:
                self._client.produce(
                    topic,
                    record.value,
                    record.key,
                    headers=record.headers,  # type: ignore[arg-type]  # lists are invariant
                    on_delivery=batch.delivered,
                )
            except BufferError:
                full = Busy("broker: the queue of messages to it is full", RETRY_AFTER_S)
                batch.refuse(full, len(records) - place)
                break
            except KafkaException as error:
                failed = Busy(f"broker: {worded(error)}", RETRY_AFTER_S)
                batch.refuse(failed, len(records) - place)
                self._replace_finished(error.args[0])
                break
        return batch.future

    def close(self) -> None:
        """End the connection; batches without an outcome fail."""
        self._stop.set()
        self._thread.join()
        self._drop(self._client)

    def _poll(self) -> None:
        while not self._stop.is_set():
            self._client.poll(POLL_S)

    def _replace_finished(self, error: KafkaError) -> None:
        """Take another client in the place of one with a fatal error, which sends no more."""
        if not (error.fatal() or error.name() == "_FATAL"):
            return
        with self._lock:
            finished, self._client = self._client, clients.Producer(self._config)
        self._drop(finished)

    @staticmethod
    def _drop(client: clients.Producer) -> None:
        client.purge()
        with suppress(KafkaException):
            client.flush(0)  # the outcomes of what was purged
        client.close()
