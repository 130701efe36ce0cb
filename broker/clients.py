"""Kafka clients: each is opened here and closed by the object that opened it.

An open client must never be left to garbage collection. A consumer in a reference cycle loses its
callbacks first; destroying it then serves a rebalance that is still queued, and confluent-kafka
(2.16) queries librdkafka's main thread for the rebalance protocol. That thread has ended, the call
waits for ever, and it holds the interpreter lock: the whole process stops (librdkafka#4041).

Hence four rules, each with a guard:

- An owner closes its client. `opened()` lists the open ones; the tests compare it around each
  test, and at the end of a process the remaining ones are logged and closed (`close_all`).
- A client is in no cycle: callbacks are handed over through `weakly`, so that an owner which is
  dropped takes its client with it at once.
- Closing has a limit, as it may wait for ever too (`close_within`).
- A client that is dropped while open is closed, and logged as an error, before its memory is freed.
"""

import atexit
import ctypes
import os
import sys
import threading
import warnings
import weakref
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, ParamSpec, Protocol, Self, TypeVar

import confluent_kafka
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from broker.connect import LOGGER
from broker.interrupts import GIVEN_UP, STOPPING, is_request_left

P = ParamSpec("P")
T = TypeVar("T")

# librdkafka 2.16 may never return from closing a member that lost its session while a rebalance was
# queued (seen once in 20 tries; two of its threads wait for each other).
CLOSE_S = 5.0
STOPPING_CLOSE_S = 1.0  # in a process that is stopping; a healthy broker needs some ms

FRAMES = 4  # of the opener's stack that an error names
STRICT_VARIABLE = "ORDERTIDE_STRICT"  # set: a client left open at the end is an exit code
LEFT_OPEN = 70  # that exit code; EX_SOFTWARE of sysexits.h


class Client(Protocol):
    """Common interface of the three kinds. `opened_at` names the frames that opened it."""

    opened_at: str

    def close(self) -> Any:  # noqa: ANN401 - None, or a producer's True
        """End the connection; closing again does nothing."""


class Closed:
    """Closed at the end of a `with`, and when it is dropped. First among the bases.

    It has no `close` of its own, so that `super().close` is confluent-kafka's.
    """

    opened_at = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self: Client, *_: object) -> None:
        self.close()

    def __del__(self: Client) -> None:
        close_dropped(self)


# Nothing depends on the abort at a producer's close: the next run fences the transaction.
warnings.filterwarnings("ignore", "Producer abort_transaction failed", RuntimeWarning)

OPEN: "weakref.WeakSet[Client]" = weakref.WeakSet()
LOCK = threading.RLock()  # garbage collection inside it may close a client


class Consumer(Closed, confluent_kafka.Consumer):
    """A consumer that is known to be open until `close`."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        register(self)

    def close(self) -> None:
        """Leave the group and end the connection."""
        close_within(super().close, self)


class Producer(Closed, confluent_kafka.Producer):
    """A producer that is known to be open until `close`."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        register(self)

    def close(self) -> bool:
        """End the connection; undelivered messages are discarded. Call `flush` before."""
        close_within(self._drop, self)
        return True

    def _drop(self) -> None:
        self.purge()  # the base class waits for delivery without a limit
        with suppress(KafkaException):  # a fatal error, which was raised when it came
            self.flush(0)
        # It aborts an open transaction, destroys the client, and raises or warns of an abort that
        # failed: the broker saw no message of it (INVALID_TXN_STATE), or has fenced this producer.
        with suppress(KafkaException):
            super().close()


class Admin(Closed):
    """An administration client. confluent-kafka's own has no `close`: it ends with its memory.

    Hence `client` is to be used and never stored: after `close` nothing else refers to it. A
    callback of a request runs in the client's own thread, and uses `request`: with the last
    reference gone there, librdkafka aborts the process ("rd_kafka_destroy() called from librdkafka
    owned thread").
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self._client: AdminClient | None = AdminClient(config)
        self._requesting = threading.Lock()
        register(self)

    @property
    def client(self) -> AdminClient:
        """The client itself.

        Raises:
            RuntimeError: it is closed.
        """
        if self._client is None:
            raise RuntimeError("administration client: is closed; open another")
        return self._client

    def request(self, send: Callable[[AdminClient], T]) -> T:
        """Return what `send` returns of the client, which is not closed meanwhile.

        `send` must not wait for an answer.

        Raises:
            RuntimeError: it is closed.
        """
        with self._requesting:
            return send(self.client)

    def close(self) -> None:
        """End the connection."""
        close_within(self._destroy, self)

    def _destroy(self) -> None:
        with self._requesting:
            client, self._client = self._client, None
        # Outside the lock: it waits for the client's own thread, which may be waiting for the lock.
        del client


def weakly(method: Callable[P, None]) -> Callable[P, None]:
    """Callback that doesn't keep the owner of `method` alive; without that owner a no-op."""
    reference = weakref.WeakMethod(method)

    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        bound = reference()
        if bound is not None:
            bound(*args, **kwargs)

    return call


def opened() -> set[Client]:
    """The clients of this process that are open."""
    with LOCK:
        return set(OPEN)


def describe(client: Client) -> str:
    """Kind and opener: `Consumer opened by broker.message:80 < commands.write:71`."""
    return f"{type(client).__name__} opened by {client.opened_at}"


def close_all(clients: set[Client]) -> list[str]:
    """Close clients that were left open; return their descriptions."""
    found = sorted(describe(client) for client in clients)
    for client in clients:
        client.close()
    return found


def register(client: Client) -> None:
    """Note that `client` is open, and which code opened it."""
    client.opened_at = opener()
    with LOCK:
        OPEN.add(client)


def close_within(close: Callable[[], object], client: Client, limit_s: float = CLOSE_S) -> None:
    """Close `client` by `close`; after `limit_s` log that it can't be closed, and continue.

    In a stopping process the first client that exceeds its limit is the last one that is waited
    for: each would take as long while the broker is unavailable.

    Raises:
        KafkaException: what `close` raised.
    """
    if not client.opened_at:
        return
    failures: list[BaseException] = []

    def closing() -> None:
        try:
            close()
        except BaseException as failed:  # noqa: BLE001 - raised below, in the thread that closes
            failures.append(failed)

    described = describe(client)
    unregister(client)
    if is_request_left():
        # The process is stopping. The request may use this client, and ends it with itself.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(client))
        return
    closer = threading.Thread(target=closing, name="kafka close", daemon=True)
    try:
        closer.start()
    except RuntimeError:  # Python 3.12 starts no thread at the end of the process
        closing()
    else:
        wait_for(closer, described, limit_s)
    for failed in failures:
        raise failed


def wait_for(closer: threading.Thread, described: str, limit_s: float) -> None:
    """Wait until a client is closed; one that is not is kept alive by the thread that closes it."""
    is_stopping = STOPPING.is_set()
    limit_s = min(limit_s, STOPPING_CLOSE_S) if is_stopping else limit_s
    closer.join(limit_s)
    if closer.is_alive():
        LOGGER.error("kafka: %s: not closed within %g s; left open", described, limit_s)
        if is_stopping:
            GIVEN_UP.append(closer)


def unregister(client: Client) -> None:
    """Note that `client` is closed."""
    client.opened_at = ""
    with LOCK:
        OPEN.discard(client)


def opener() -> str:
    """The innermost frames outside this module, `module:line` each."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - its public name
    found: list[str] = []
    while frame and len(found) < FRAMES:
        module = frame.f_globals.get("__name__", "?")
        if module != __name__:
            found.append(f"{module}:{frame.f_lineno}")
        frame = frame.f_back
    return " < ".join(found)


def close_dropped(client: Client) -> None:
    """Close a client whose last reference is gone; an error of ours, logged and never raised."""
    if not client.opened_at:
        return
    described = describe(client)
    LOGGER.error("kafka: %s was dropped without being closed; it is closed now", described)
    client.close()
    warnings.warn(f"{described} was dropped without being closed", ResourceWarning, stacklevel=2)


def close_at_exit() -> None:
    """Close what is open at the end of the process: its destruction could wait for ever."""
    found = close_all(opened())
    for described in found:
        LOGGER.error("kafka: %s was not closed before the end of the process", described)
    if found and os.environ.get(STRICT_VARIABLE):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(LEFT_OPEN)  # atexit can't change an exit code otherwise


atexit.register(close_at_exit)
