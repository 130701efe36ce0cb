"""Rendezvous of the hosts of a run: signals as objects in the bucket of its state.

joined-01   host 1 has its files ready
started     all hosts have joined
ended       the run has ended on one host, and so for all: cleanly, or not
(runs/NNN   the next run: a host of an earlier one stops at once)
"""

import logging
import threading
import time

from dataflows.state.remote.log import StoredObjects
from dataflows.state.remote.records import FORMAT, Run, RunSignal, run_name, sealed, signal_name
from schemas.errors import Busy, OrdertideError

LOGGER = logging.getLogger("ordertide.track")
ENDED = "ended"
READ_EVERY_S = 1.0
LOOK_EVERY_S = 0.1


class Rendezvous:
    """Signals between the hosts of one run; each call is one request."""

    def __init__(self, objects: StoredObjects, run: Run, host: int) -> None:
        """Create the view of `host`."""
        self.objects = objects
        self.run = run
        self.host = host

    def signal(self, what: str, reason: str = "", *, is_clean: bool = True) -> None:
        """Send a signal to the other hosts, unless one of them was faster."""
        name = signal_name(self.run.number, what)
        self.objects.create(name, sealed(name, RunSignal(FORMAT, self.host, is_clean, reason)))

    def get(self, what: str) -> RunSignal | None:
        """The signal, if it was sent."""
        return self.objects.find(signal_name(self.run.number, what), RunSignal)

    def join(self) -> None:
        """Signal that this host is ready."""
        self.signal(joined(self.host))

    def missing(self) -> list[int]:
        """The hosts that are not ready, except the first, which waits for them."""
        return [host for host in range(1, self.run.hosts) if not self.get(joined(host))]

    def is_superseded(self) -> bool:
        """Return True once there is a next run."""
        return self.objects.find(run_name(self.run.number + 1), Run) is not None


def joined(host: int) -> str:
    """The name of the signal that a host is ready."""
    return f"joined-{host:02}"


class RunMonitor:
    """Polls the signals of the other hosts during a run, in a thread: the bucket may be slow.

    `is_superseded`: there is a next run, so workers that wait for a peer of this one end. `failed`
    is why it can't poll any more.
    """

    def __init__(self, rendezvous: Rendezvous, stopping: threading.Event) -> None:
        """Start polling; once `stopping` is set, signal that this run ends cleanly."""
        self.rendezvous = rendezvous
        self.stopping = stopping
        self.ended: RunSignal | None = None
        self.is_superseded = False
        self.failed: OrdertideError | None = None
        self.closing = threading.Event()
        self.thread = threading.Thread(target=self.poll, name="rendezvous", daemon=True)
        self.thread.start()

    def poll(self) -> None:
        """Poll until closed."""
        has_signalled = False
        while not self.closing.wait(LOOK_EVERY_S):
            try:
                if self.stopping.is_set() and not has_signalled:
                    self.rendezvous.signal(ENDED, f"host {self.rendezvous.host} was stopped")
                    has_signalled = True
                self.read()
            except Busy as busy:  # told to stop while the bucket is unavailable
                LOGGER.debug("%s", busy)
            except OrdertideError as failed:
                self.failed = failed
                return
            self.pause()

    def read(self) -> None:
        """Read the signals once."""
        self.is_superseded = self.is_superseded or self.rendezvous.is_superseded()
        self.ended = self.ended or self.rendezvous.get(ENDED)

    def pause(self) -> None:
        """Wait until it is time to read again, or to signal that this host stops."""
        read_at_s = time.monotonic() + READ_EVERY_S
        was_stopping = self.stopping.is_set()
        while time.monotonic() < read_at_s and self.stopping.is_set() == was_stopping:
            if self.closing.wait(LOOK_EVERY_S):
                return

    def close(self) -> None:
        """Stop polling."""
        self.closing.set()
        self.thread.join(READ_EVERY_S)
