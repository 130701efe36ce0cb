"""Outage of the broker: one line in the log when it begins, and one when it is over.

librdkafka logs every attempt of every client: three clients made 60 lines in the first second of an
outage. The lines held back here are still logged at level DEBUG.
"""

import logging
import re
import threading
import time
from collections.abc import Callable

from broker.connect import LOGGER
from broker.errors import plain

# Reconnecting is tried at least every 2 s (reconnect.backoff.max.ms): after this long without a
# failure it has worked, or that broker is not needed any more.
QUIET_AFTER_S = 6.0
# How confluent_kafka hands on a line of librdkafka: facility, client, message.
LINE = "%s [%s] %s"
CONNECTION_FACILITIES = {"FAIL", "ERROR", "REQTMOUT", "COORDQUERY"}
# What the transactional producer raises, or retries until `Outage` reports it.
RAISED_FACILITIES = {"ADDPARTS", "FATAL", "GETPID", "TXNERR"}
REFUSED = re.compile(r"SASL|SSL|authenticat|certificate", re.IGNORECASE)


class Outage:
    """Availability of the broker as this process observes it. Safe to call from any thread."""

    def __init__(
        self,
        logger: logging.Logger,
        now_s: Callable[[], float] = time.monotonic,
        quiet_after_s: float = QUIET_AFTER_S,
    ) -> None:
        self._logger = logger
        self._now_s = now_s
        self._quiet_after_s = quiet_after_s
        self._lock = threading.Lock()
        self._said: set[bool] = set()  # kinds of reasons that this outage was reported with
        self._began_at_s = 0.0
        self._failed_at_s = 0.0

    @property
    def is_on(self) -> bool:
        """Return True if something failed, and not all is known to have recovered."""
        return bool(self._said)

    def failed(self, reason: str) -> None:
        """Something didn't reach the broker: a warning if that is news.

        A refusal (credentials, certificates) is news once more: it doesn't pass by itself.
        """
        is_refusal = bool(REFUSED.search(reason))
        with self._lock:
            is_news = is_refusal not in self._said
            self._failed_at_s = self._now_s()
            if not self._said:
                self._began_at_s = self._failed_at_s
            self._said.add(is_refusal)
        if not is_news:
            self._logger.debug("still unavailable: %s", reason)
        elif is_refusal:
            self._logger.error("the broker refuses the connection: %s", reason)
        else:
            self._logger.warning("a broker is unavailable, retrying: %s", plain(reason))

    def worked(self) -> None:
        """Record an answer of the broker. Costs nothing without an outage."""
        if not self._said:
            return
        with self._lock:
            # With several brokers one may answer while another is still away.
            is_over = self._now_s() - self._failed_at_s >= self._quiet_after_s
            if not (self._said and is_over):
                return
            self._said.clear()
            away_s = self._failed_at_s - self._began_at_s
        self._logger.warning("the broker is available again after about %.0f s", away_s)


class OutageFilter(logging.Filter):
    """Filter that turns librdkafka's own lines about lost connections into those of `Outage`.

    Its lines about errors that are raised anyway go to level DEBUG.
    """

    def __init__(self, outage: Outage) -> None:
        super().__init__()
        self._outage = outage

    def filter(self, record: logging.LogRecord) -> bool:
        """False for a line that `Outage` has taken over."""
        if record.msg != LINE or not isinstance(record.args, tuple):
            return True
        facility, _, message = record.args
        if facility in RAISED_FACILITIES:
            LOGGER.debug("%s: %s", facility, message)
            return False
        if facility not in CONNECTION_FACILITIES:
            return True
        self._outage.failed(str(message))
        return False


OUTAGE = Outage(LOGGER)
LOGGER.addFilter(OutageFilter(OUTAGE))
