"""Channel: the port of delivery. `tests/contracts/test_channels.py` is its exact meaning."""

from collections.abc import Sequence
from typing import Protocol

from sinks.channels.alert_message import Posting


class Channel(Protocol):
    """A receiver of open alerts.

    Alerts are level-triggered: an open one is posted again and again before its `ends_at` runs out,
    so `post` has to be idempotent by the notice's labels. A receiver without a renewal takes the
    alert as ended at its `ends_at`; one without `ends_at` is open until its end is posted.
    """

    name: str

    def post(self, postings: Sequence[Posting]) -> None:
        """Hand all of them over; on return the receiver has them.

        Raises:
            Busy: not now; some may have arrived. Posting all of them again changes nothing more.
            Rejected: at least one can never be taken, however often it is offered. Which one, the
                caller finds out by posting fewer; others of the batch may have arrived.
        """
        ...

    def close(self) -> None:
        """Close connections."""
        ...
