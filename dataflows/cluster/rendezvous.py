"""Rendezvous of the hosts of a run: objects in the bucket of its state.

joined-01   host 1 has its files ready
started     all have
over        the run is over on one host, and so for all: cleanly, or not
(runs/NNN   the next run: a host of an earlier one stops at once)
"""

import logging
import threading
import time

from dataflows.state.remote.log import Journal
from dataflows.state.remote.records import FORMAT, News, Run, news_name, run_name, sealed
from schemas.errors import Busy, OrdertideError

LOGGER = logging.getLogger("ordertide.track")
OVER = "over"
ASK_EVERY_S = 1.0
LOOK_EVERY_S = 0.1


class Meeting:
    """Messages between the hosts of one run; every call is one request."""

    def __init__(self, journal: Journal, run: Run, host: int) -> None:
        """Create it for `host`."""
        self.journal = journal
        self.run = run
        self.host = host

    def say(self, what: str, reason: str = "", *, is_clean: bool = True) -> None:
        """Publish a message to the others, unless another host was faster."""
        name = news_name(self.run.number, what)
        self.journal.create(name, sealed(name, News(FORMAT, self.host, is_clean, reason)))

    def heard(self, what: str) -> News | None:
        """The published message."""
        return self.journal.find(news_name(self.run.number, what), News)

    def join(self) -> None:
        """This host is ready."""
        self.say(joined(self.host))

    def missing(self) -> list[int]:
        """The hosts that are not ready, except the first, which calls this."""
        return [host for host in range(1, self.run.hosts) if not self.heard(joined(host))]

    def is_superseded(self) -> bool:
        """Return True once there is a next run."""
        return self.journal.find(run_name(self.run.number + 1), Run) is not None


def joined(host: int) -> str:
    """The name under which a host reports that it is ready."""
    return f"joined-{host:02}"


class Ear:
    """Monitor of a run's messages in a thread of its own: the bucket may be slow.

    `is_superseded`: there is a next run, so workers that wait for a peer of this one end. `failed`
    is the error that ended the monitor.
    """

    def __init__(self, meeting: Meeting, stopping: threading.Event) -> None:
        """Create it; once `stopping` is set, it signals the others that this run ends cleanly."""
        self.meeting = meeting
        self.stopping = stopping
        self.over: News | None = None
        self.is_superseded = False
        self.failed: OrdertideError | None = None
        self.closing = threading.Event()
        self.thread = threading.Thread(target=self.listen, name="meeting", daemon=True)
        self.thread.start()

    def listen(self) -> None:
        """Query the messages again and again."""
        has_told = False
        while not self.closing.wait(LOOK_EVERY_S):
            try:
                if self.stopping.is_set() and not has_told:
                    self.meeting.say(OVER, f"host {self.meeting.host} was stopped")
                    has_told = True
                self.ask()
            except Busy as busy:  # stopping, and the bucket is unavailable
                LOGGER.debug("%s", busy)
            except OrdertideError as failed:
                self.failed = failed
                return
            self.pause()

    def ask(self) -> None:
        """One round of questions."""
        self.is_superseded = self.is_superseded or self.meeting.is_superseded()
        self.over = self.over or self.meeting.heard(OVER)

    def pause(self) -> None:
        """Wait until the next query, or until this host stops."""
        again_at_s = time.monotonic() + ASK_EVERY_S
        was_stopping = self.stopping.is_set()
        while time.monotonic() < again_at_s and self.stopping.is_set() == was_stopping:
            if self.closing.wait(LOOK_EVERY_S):
                return

    def close(self) -> None:
        """Listen no more."""
        self.closing.set()
        self.thread.join(ASK_EVERY_S)
