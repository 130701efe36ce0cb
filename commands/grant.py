"""The run lease as a worker process sees it: whoever watches the workers has it, and says so.

Only one process can be the member of the group that the lease is. It sends every worker, on its
standard input, the moment at which it last knew that the lease was its own. A worker flushes only
while that is recent, so one that slept, or whose watcher sleeps, ends no epoch beside another run.
"""

import math
import os
import signal
import struct
import threading
import time
from collections.abc import Callable

from broker.connect import Connection
from broker.lease import session_s_of
from schemas.errors import Busy

STAMP = struct.Struct("d")  # time.monotonic(), one clock for all processes of a host
# Of a session: the watcher's own knowledge may be a second old (broker.lease.VERIFY_EVERY_S).
VALID_SHARE = 0.5
PATIENCE_S = 0.2


def valid_s_of(connection: Connection) -> float:
    """How long what is known of the lease holds for a member; a session ends after twice that."""
    return session_s_of(connection) * VALID_SHARE


class Grant:
    """Until when a worker may flush."""

    def __init__(self, valid_s: float, now_s: Callable[[], float] = time.monotonic) -> None:
        """Nothing is granted yet; each grant holds for `valid_s`."""
        self.valid_s = valid_s
        self.now_s = now_s
        self.granted_at_s = -math.inf
        self.news = threading.Condition()

    def renew(self, granted_at_s: float) -> None:
        """Take down that the lease was ours at `granted_at_s`."""
        with self.news:
            self.granted_at_s = max(self.granted_at_s, granted_at_s)
            self.news.notify_all()

    def is_recent(self) -> bool:
        """Whether nobody else can have the lease yet."""
        return self.now_s() - self.granted_at_s < self.valid_s

    def verify(self) -> None:
        """Return if this worker may flush.

        Raises:
            Busy: nothing recent is known of the lease; ask again.
        """
        with self.news:
            if not self.news.wait_for(self.is_recent, PATIENCE_S):
                raise Busy("track: the run lease is not confirmed by the process that has it")


class Patient:
    """Looks at the lease, and lets the cluster go on while the broker gives no answer."""

    def __init__(self, verify: Callable[[], None]) -> None:
        """`verify` raises where the lease is lost."""
        self.verify = verify

    def look(self) -> bool:
        """Whether the lease is known to be ours.

        Raises:
            LeaseLost: another run has it.
        """
        try:
            self.verify()
        except Busy:  # the broker is away: nobody writes, and nobody takes the lease
            return False
        return True


def stamp(at_s: float) -> bytes:
    """What is sent to a worker."""
    return STAMP.pack(at_s)


def follow(grant: Grant, source: int) -> None:
    """Renew `grant` by what comes from the descriptor `source`; at its end, end this process.

    At once and without tidying up: a worker that nobody watches would go on beside the next run.
    """

    def listen() -> None:
        # Stamps are written whole: they are far below PIPE_BUF.
        while len(said := os.read(source, STAMP.size)) == STAMP.size:
            grant.renew(STAMP.unpack(said)[0])
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=listen, name="grant", daemon=True).start()
