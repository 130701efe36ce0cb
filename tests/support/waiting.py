"""The one place where tests wait, with patience that has an end."""

import time
from collections.abc import Callable
from typing import TypeVar

from schemas.errors import Busy

PATIENCE_S = 60.0
PAUSE_S = 0.05

Answer = TypeVar("Answer")


def wait_until(
    is_so: Callable[[], Answer],
    what: str,
    patience_s: float = PATIENCE_S,
    shown: Callable[[], object] = str,
    *,
    progress: Callable[[], object] | None = None,
    pause_s: float = PAUSE_S,
) -> Answer:
    """Ask `is_so` until its answer is true; that answer.

    Patience counts from the last change of `progress`, where there is such a counter: a slow
    machine is given its time, one that stands still is not. A failure names `what` was awaited
    and shows what `shown` returns then: a log, or what came instead. Whatever makes the wait
    senseless, such as a process that has ended, `is_so` asserts itself.
    """
    since_s, seen = time.monotonic(), None
    while not (answer := is_so()):
        if progress is not None and (counted := progress()) != seen:
            since_s, seen = time.monotonic(), counted
        if time.monotonic() - since_s > patience_s:
            at = "" if progress is None else f"; it stands at {seen}"
            raise AssertionError(f"waited {patience_s:g} s in vain: {what}{at}\n{shown()}")
        time.sleep(pause_s)
    return answer


def patiently(
    call: Callable[[], Answer],
    refused: list[Busy] | None = None,
    patience_s: float = PATIENCE_S,
) -> Answer:
    """The answer of `call`, which is asked again while it is `Busy`, as a writer does.

    `refused` notes the times it was.
    """
    busy: list[Busy] = [] if refused is None else refused

    def answers() -> list[Answer]:
        try:
            return [call()]
        except Busy as error:
            busy.append(error)
            return []

    return wait_until(answers, "an answer", patience_s, lambda: busy[-1])[0]
