"""Channel: the port of delivery. `tests/contracts/test_channels.py` is its exact meaning."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

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


class Silence(NamedTuple):
    """A silence on an alert in one severity (label `severity`), until an instant (ms), by `by`.

    `order` is the order's key. `silence_id` is the receiver's; "" of one that it doesn't have yet.
    """

    alert_id: str
    severity: str
    until: int
    by: str
    order: str
    silence_id: str = ""


@runtime_checkable
class SilencingChannel(Channel, Protocol):
    """A receiver that keeps silences: an alert under one is open, and notifies nobody."""

    def silences(self) -> list[Silence]:
        """The silences in force that ordertide made; those that people made there are left out.

        Raises:
            Busy: not now.
        """
        ...

    def silence(self, silence: Silence) -> None:
        """Make a silence; one with an id replaces the silence of that id.

        Raises:
            Busy: not now; it may have been made. Rejected: it can never be made.
        """
        ...

    def end_silence(self, silence_id: str) -> None:
        """End a silence that was listed.

        Raises:
            Busy: not now, or it has ended meanwhile; list them again.
        """
        ...
