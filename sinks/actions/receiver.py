"""Receiver: the queue and threads of one receiver, so that one that is away holds up no other.

The worker's thread hands tasks over and collects results; the attempts run in threads of the
receiver. While the receiver is busy it is paused: one task at a time is tried, with a growing
delay, instead of all that wait.
"""

from collections.abc import Iterator, Mapping
from queue import Empty, SimpleQueue
from threading import Thread

from broker.backoff import Pause
from sinks.actions.attempt import Attempt
from sinks.actions.outbox import Result, Task

THREADS = 8  # attempts at a time
# Handed over at once: the outbox is asked twenty times a second, so about 2,500 a second.
AHEAD = 128
LONGEST_PAUSE_S = 60.0

Results = SimpleQueue[Result]


class Receivers(dict[str, "Receiver"]):
    """All receivers by name, with one queue for their results."""

    def __init__(self, attempts: Mapping[str, Attempt]) -> None:
        """Create a receiver for each attempt."""
        self._results = Results()
        made = {name: Receiver(name, each, self._results) for name, each in attempts.items()}
        super().__init__(made)

    def collect(self, now_at: int) -> Iterator[Result]:
        """The results that have come."""
        while True:
            try:
                result = self._results.get_nowait()
            except Empty:
                return
            self[result.task.receiver].collected(result, now_at)
            yield result

    @property
    def are_idle(self) -> bool:
        """Return True if no attempt is under way."""
        return not any(receiver.in_flight for receiver in self.values())

    def close(self) -> None:
        """End their threads and close their channels."""
        for receiver in self.values():
            receiver.close()


class Receiver:
    """A receiver by its name in actions.toml; `results` are those of all receivers."""

    def __init__(self, name: str, attempt: Attempt, results: Results) -> None:
        """Create a receiver without threads, which start with the tasks."""
        self.name = name
        self.attempt = attempt
        self.in_flight = 0
        self.reason: str | None = None  # of the last failure, None after a success
        self._results = results
        self._tasks = SimpleQueue[Task | None]()
        self._threads: list[Thread] = []
        self._pause = Pause(LONGEST_PAUSE_S)

    def room(self, now_at: int) -> int:
        """Number of tasks that it takes now: one at a time after a failure."""
        if not self._pause.is_failing:
            return AHEAD - self.in_flight
        return 0 if self._pause.holds(now_at) or self.in_flight else 1

    def put(self, tasks: list[Task]) -> None:
        """Hand tasks over."""
        self.in_flight += len(tasks)
        for _ in range(min(THREADS, self.in_flight) - len(self._threads)):
            name = f"{self.name}-{len(self._threads)}"
            # Daemons: an attempt that hangs doesn't keep the process from ending.
            self._threads.append(Thread(target=self._work, name=name, daemon=True))
            self._threads[-1].start()
        for task in tasks:
            self._tasks.put(task)

    def collected(self, result: Result, now_at: int) -> None:
        """Note a result: a failure pauses the receiver, an answer of whatever kind resumes it."""
        self.in_flight -= 1
        if result.retry_after_s is not None:
            self.reason = result.reason
            self._pause.failed(now_at, result.retry_after_s)
        elif result.attempts > result.task.attempts:
            self.reason = None
            self._pause.reset()

    def close(self) -> None:
        """End the threads after what they are doing, and close the channel."""
        for _ in self._threads:
            self._tasks.put(None)
        self.attempt.channel.close()

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            if self._pause.is_failing and self.in_flight > 1:
                # It was handed over before the failure: it waits in the outbox with the others.
                due_at = self.attempt.clock.wall_ms()
                self._results.put(Result(task, "waiting", task.attempts, task.reason, due_at))
                continue
            self._results.put(self.attempt.make(task))
