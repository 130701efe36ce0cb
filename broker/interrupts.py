"""Interrupting requests to a broker that doesn't answer.

A signal handler of Python runs when the main thread executes Python code again. librdkafka's calls
run in C for as long as their time-out, 10 s mostly, and Ctrl-C seemed to do nothing meanwhile. So a
request is made in a thread, and the caller waits for it in Python: there a handler runs at once.

`STOPPING` is set by the handlers of commands that end by themselves (`commands.wiring.process`).
Requests are then given up after a moment in which a broker that is well answers; without handlers
KeyboardInterrupt ends the waiting. What is written (flush, commit) is not interrupted here.

A request that was given up still uses its client, which must not be destroyed then: see
`broker.clients.close_within`.
"""

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

from schemas.errors import Stopped

T = TypeVar("T")

STOPPING = threading.Event()
LOOK_EVERY_S = 0.1
GRACE_S = 0.4  # from `STOPPING` to giving up


# Threads of abandoned requests.
GIVEN_UP: list[threading.Thread] = []


class Waiting:
    """Waiting for a broker, in a loop that calls `check`."""

    def __init__(self) -> None:
        """Create a wait that begins now."""
        self._stopping_since_s: float | None = None

    def check(self) -> None:
        """Return while waiting is worthwhile.

        Raises:
            Stopped: the process is stopping, and a healthy broker would have answered.
        """
        if not STOPPING.is_set():
            return
        now_s = time.monotonic()
        self._stopping_since_s = self._stopping_since_s or now_s
        if now_s - self._stopping_since_s >= GRACE_S:
            raise Stopped("stopped while a broker was unavailable")


def answer_of(request: Callable[[], T]) -> T:
    """Return the result of a blocking request, or raise its error.

    Not for requests through a client from within its own callback: they would wait for each other.

    Raises:
        Stopped: the process is stopping; the request continues in its thread until it times
            out, and keeps its client.
    """
    answer: Future[T] = Future()

    def ask() -> None:
        try:
            answer.set_result(request())
        except BaseException as failed:  # noqa: BLE001 - raised where the answer is waited for
            answer.set_exception(failed)

    asking = threading.Thread(target=ask, name="broker request", daemon=True)
    asking.start()
    try:
        return result_of(answer)
    finally:
        if not answer.done():
            GIVEN_UP.append(asking)


def result_of(answer: "Future[T]", timeout_s: float = math.inf) -> T:
    """Return the result of a request that was sent already, or raise its error.

    Raises:
        Stopped: the process is stopping. TimeoutError: no answer within `timeout_s`.
    """
    give_up_at_s = time.monotonic() + timeout_s
    waiting = Waiting()
    while not answer.done():
        waiting.check()
        left_s = give_up_at_s - time.monotonic()
        if left_s <= 0:
            break
        wait([answer], min(LOOK_EVERY_S, left_s))
    return answer.result(0)


def is_request_left() -> bool:
    """Return True while an abandoned request is still running."""
    GIVEN_UP[:] = [thread for thread in GIVEN_UP if thread.is_alive()]
    return bool(GIVEN_UP)
