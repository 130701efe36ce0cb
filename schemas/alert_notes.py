"""Alert notes: what operators set on an open alert, kept in the control topic by its id.

A note is about one alert in one severity: it is void once the alert ends or escalates, so that a
worsening is never hidden by an acknowledgement of before.
"""

from typing import Literal

import msgspec

from schemas.alert import Severity
from schemas.control_records import ControlRecords
from schemas.instants import parse_instant
from schemas.order import OpenAlert

ALERT = "alert"  # kind of the control topic

State = Literal["open", "acked", "snoozed"]


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """The operator of a write, its instant and its address."""

    by: str
    at: str
    ip: str


class AlertNote(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A note on an alert of the order `key`. `owner` works on it."""

    key: str
    severity: Severity
    acked: Mark | None = None
    snoozed_until: str | None = None
    snoozed: Mark | None = None
    owner: str | None = None
    assigned: Mark | None = None


NOTE = msgspec.json.Decoder(AlertNote)


def state_of(note: AlertNote | None, now: int) -> State:
    """`snoozed` until its end, else `acked`, else `open`; `now` in ms of the wall clock."""
    if note is None:
        return "open"
    if note.snoozed_until and parse_instant(note.snoozed_until) > now:
        return "snoozed"
    return "acked" if note.acked else "open"


class AlertNotes(ControlRecords[AlertNote]):
    """The notes by the ids of their alerts."""

    def __init__(self) -> None:
        """Create a collection without notes."""
        super().__init__(NOTE.decode)

    def of(self, alert: OpenAlert) -> AlertNote | None:
        """The note on an open alert; None without one, and where it has escalated since."""
        return self.on(alert.alert_id, alert.severity)

    def on(self, alert_id: str, severity: str) -> AlertNote | None:
        """The note on an alert in this severity; None without one, and for any other severity."""
        note = self.records.get(alert_id)
        return note if note is not None and note.severity == severity else None
