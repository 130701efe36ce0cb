"""States of subscriptions: who fails since when, who is disabled, and the reports of both.

The worker alone disables a subscription. Its record of the state holds here at once, and is written
to the control topic until the broker has it, so that owners see it in every `serve`.
"""

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import Future

import msgspec

from schemas.instants import MINUTE_MS, format_instant
from sinks.subscriptions.deliveries import Deliveries
from sinks.subscriptions.fan_out import instant
from sinks.subscriptions.subscription import REQUEST, STATE, State, Status, Subscriptions, status_of

LOGGER = logging.getLogger("ordertide.webhooks")
Report = Callable[[str, str, bytes | None], "Future[None]"]  # kind, name and value of a record
REPORT_AFTER_MS = 10 * MINUTE_MS  # a receiver that fails for less needs no owner


class States:
    """States as the worker has them; `failing` are first failures (wall clock, ms) by name."""

    def __init__(
        self, subscriptions: Subscriptions, deliveries: Deliveries, report: Report
    ) -> None:
        """Create it with what an earlier worker has noted."""
        self.subscriptions = subscriptions
        self.failing = deliveries.failing()
        self._deliveries = deliveries
        self._report = report
        self._own: dict[str, State] = {}  # as they were reported by this process
        self._unsent: dict[tuple[str, str], tuple[bytes | None, Future[None] | None]] = {}

    def status(self, name: str) -> Status:
        """Status of a subscription."""
        state = self._own.get(name) or self.subscriptions.states.get(name)
        return status_of(self.subscriptions.records[name], state)

    def is_open(self, name: str) -> bool:
        """Return True if events are made for a subscription, and sent."""
        return name in self.subscriptions.records and self.status(name) in {"active", "failing"}

    def disable(self, name: str, reason: str, now_at: int) -> None:
        """Send nothing more to a receiver until its owner resumes it."""
        active_at = instant(self.subscriptions.records[name].active_at)
        at = format_instant(max(now_at, active_at + 1))
        since_at = self.failing.get(name)
        since = "" if since_at is None else format_instant(since_at)
        self._put(name, State(failing_since=since, disabled_at=at, reason=reason))
        LOGGER.warning("webhook %s is disabled: %s", name, reason)

    def note(self, name: str, since_at: int | None) -> None:
        """Note since when a receiver fails, in a transaction of the file; None: it answers."""
        if self.failing.get(name) == since_at:
            return
        self._deliveries.note_failing(name, since_at)
        if since_at is None:
            del self.failing[name]
        else:
            self.failing[name] = since_at

    def review(self, name: str, fault: str, now_at: int) -> None:
        """Report a receiver that fails for a while or has a `fault`, and one that answers again."""
        if not self.is_open(name):
            return
        since_at, state = self.failing.get(name), State()
        if since_at is not None and (fault or now_at - since_at >= REPORT_AFTER_MS):
            state = State(failing_since=format_instant(since_at), reason=fault)
        held = self._own.get(name) or self.subscriptions.states.get(name) or State()
        if held != state:
            self._put(name, state)

    def answered(self, requests: Iterable[str]) -> None:
        """End requests that were done."""
        for name in requests:
            self._unsent.setdefault((REQUEST, name), (None, None))

    def send(self) -> None:
        """Write records of the control topic, each until the broker has it."""
        for place, (value, sent) in [*self._unsent.items()]:
            if sent is None or (sent.done() and sent.exception() is not None):
                self._unsent[place] = value, self._report(*place, value)
            elif sent.done():
                del self._unsent[place]

    def forget(self, name: str) -> None:
        """Forget a subscription that has ended."""
        self.failing.pop(name, None)
        self._own.pop(name, None)

    def _put(self, name: str, state: State) -> None:
        self._own[name] = state
        self._unsent[STATE, name] = msgspec.json.encode(state), None
