"""Receiver: the queue and threads of one receiver, so that one that is away holds up no other.

The worker's thread hands requests over, of one action each or of a batch, and collects results; the
attempts run in threads of the receiver. While the receiver is busy it is paused: one request at a
time is tried, with a growing delay, instead of all that wait.
"""

from collections.abc import Iterator, Mapping, Sequence
from queue import Empty, SimpleQueue
from threading import Thread

from broker.backoff import Pause
from sinks.actions.attempt import Attempt
from sinks.actions.batch_attempt import BatchAttempt
from sinks.actions.batches import orders_of
from sinks.actions.outbox import Result, Task

THREADS = 8  # attempts at a time
# Handed over at once: the outbox is asked twenty times a second, so about 2,500 a second.
AHEAD = 128
LONGEST_PAUSE_S = 60.0

Tasks = Sequence[Task]  # of one request
Results = SimpleQueue[list[Result]]  # an element a request


class Receivers(dict[str, "Receiver"]):
    """All receivers by name, with one queue for their results."""

    def __init__(self, attempts: Mapping[str, Attempt | BatchAttempt]) -> None:
        """Create a receiver for each attempt."""
        self._results = Results()
        made = {name: Receiver(name, each, self._results) for name, each in attempts.items()}
        super().__init__(made)

    def collect(self, now_at: int) -> Iterator[list[Result]]:
        """The results that have come, those of a request together."""
        while True:
            try:
                results = self._results.get_nowait()
            except Empty:
                return
            self[results[0].task.receiver].collected(results, now_at)
            yield results

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

    def __init__(self, name: str, attempt: Attempt | BatchAttempt, results: Results) -> None:
        """Create a receiver without threads, which start with the requests."""
        self.name = name
        self.attempt = attempt
        self.batch = attempt.batch
        self.in_flight = 0  # requests
        self.orders: set[str] = set()  # of the batches in flight
        self.reason: str | None = None  # of the last failure, None after a success
        self._results = results
        self._requests = SimpleQueue[Tasks | None]()
        self._threads: list[Thread] = []
        self._pause = Pause(LONGEST_PAUSE_S)

    def room(self, now_at: int) -> int:
        """Number of requests that it takes now: one at a time after a failure."""
        if not self._pause.is_failing:
            return (THREADS if self.batch else AHEAD) - self.in_flight
        return 0 if self._pause.holds(now_at) or self.in_flight else 1

    def put(self, requests: Sequence[Tasks]) -> None:
        """Hand requests over."""
        self.in_flight += len(requests)
        for _ in range(min(THREADS, self.in_flight) - len(self._threads)):
            name = f"{self.name}-{len(self._threads)}"
            # Daemons: an attempt that hangs doesn't keep the process from ending.
            self._threads.append(Thread(target=self._work, name=name, daemon=True))
            self._threads[-1].start()
        for tasks in requests:
            if self.batch:
                self.orders |= orders_of(tasks)
            self._requests.put(tasks)

    def collected(self, results: list[Result], now_at: int) -> None:
        """Note the results of a request.

        A failure of all that was sent pauses the receiver, an answer of whatever kind resumes it.
        """
        self.in_flight -= 1
        if self.batch:
            self.orders -= orders_of([result.task for result in results])
        tried = [result for result in results if result.was_sent]
        busy = [result for result in tried if result.retry_after_s is not None]
        if len(busy) < len(tried):
            self.reason = None
            self._pause.reset()
        elif busy:
            self.reason = busy[0].reason
            self._pause.failed(now_at, max(result.retry_after_s or 0.0 for result in busy))

    def close(self) -> None:
        """End the threads after what they are doing, and close the channel."""
        for _ in self._threads:
            self._requests.put(None)
        self.attempt.channel.close()

    def _work(self) -> None:
        while (tasks := self._requests.get()) is not None:
            if self._pause.is_failing and self.in_flight > 1:
                # They were handed over before the failure: they wait in the outbox with the others.
                due_at = self.attempt.clock.wall_ms()
                self._results.put([waiting(task, due_at) for task in tasks])
                continue
            self._results.put(self.attempt.make(tasks))


def waiting(task: Task, due_at: int) -> Result:
    """Result of an action that was not sent; it stays in its batch."""
    return Result(task, "waiting", task.attempts, task.reason, due_at, batch=task.batch)
