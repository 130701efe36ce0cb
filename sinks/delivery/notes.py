"""Alert notes in delivery: what operators set on alerts, followed in the control topic."""

import logging
import threading

from broker.connect import Connection
from broker.errors import TopicMissing
from broker.fetcher import Message
from broker.topic_follower import RETRY_S, Passing, TopicFollower
from schemas.alert_notes import ALERT, AlertNote, AlertNotes, state_of
from schemas.control_records import split_control_key
from schemas.topics import CONTROL
from sinks.channels.alert_message import Notice

MISSING_RETRY_S = 5.0  # an installation without `serve` has no control topic
LOGGER = logging.getLogger("ordertide.delivery")


class NoteFollower(TopicFollower):
    """Follows the notes between `start` and `close`, in a thread of its own.

    No alert waits for it: until a note is read, its alert is posted without it.
    """

    def __init__(self, connection: Connection) -> None:
        """Create a follower that has read nothing yet."""
        super().__init__(connection, CONTROL.name, "alert notes")
        self._notes = AlertNotes()
        self._changed: set[str] = set()
        self._lock = threading.Lock()

    def changed(self) -> set[str]:
        """Keys of the orders whose notes have changed since the last call."""
        with self._lock:
            changed, self._changed = self._changed, set()
        return changed

    def snoozed(self, now: int) -> dict[str, AlertNote]:
        """The notes with a snooze that holds at `now` (ms), by the ids of their alerts."""
        with self._lock:
            records = [*self._notes.records.items()]
        return {alert_id: note for alert_id, note in records if state_of(note, now) == "snoozed"}

    def annotated(self, notice: Notice) -> Notice:
        """A notice with the acknowledgement of its alert, if it has one in this severity."""
        note = self._notes.on(notice.labels["alert_id"], notice.labels["lane"])
        if note is None or note.acked is None:
            return notice
        acked = {"acknowledged_by": note.acked.by, "acknowledged_at": note.acked.at}
        return notice._replace(annotations=notice.annotations | acked)

    def take(self, messages: list[Message]) -> None:
        for message in messages:
            kind, alert_id = split_control_key(message.key)
            if kind == ALERT:
                self._take(alert_id, message)

    def interrupted(self, passing: Passing) -> None:
        if self.waits_for != str(passing):
            LOGGER.info("alert notes: reads again: %s", passing)
        self.waits_for = str(passing)
        self._stop.wait(MISSING_RETRY_S if isinstance(passing, TopicMissing) else RETRY_S)

    def _take(self, alert_id: str, message: Message) -> None:
        with self._lock:
            before = self._notes.records.get(alert_id)
            try:
                self._notes.take(alert_id, message.value)
            except ValueError as error:
                LOGGER.warning("alert notes: offset %d is passed over: %s", message.offset, error)
                return
            after = self._notes.records.get(alert_id)
            self._changed |= {note.key for note in (before, after) if note is not None}
