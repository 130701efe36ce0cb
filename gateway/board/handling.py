"""Handling of an open alert in words: acknowledged by whom, snoozed until when, owned by whom."""

from typing import NamedTuple

from gateway.board.wording import Words
from schemas.alert_notes import AlertNotes, State, state_of
from schemas.instants import parse_instant
from schemas.order import OpenAlert


class Handling(NamedTuple):
    """Handling of an alert; `text` is "" while nobody has done anything about it.

    `at` (ms) is when it was acknowledged, or when its snooze ends; 0 while it is open.
    """

    alert_id: str
    state: State
    owner: str
    text: str
    at: int

    @property
    def mark(self) -> str:
        """Value that changes with the handling: a card with another one is drawn again."""
        return f"{self.state}-{self.at}-{self.owner}"


class Desk(NamedTuple):
    """The notes on alerts, as a viewer sees them at `now` (ms of the wall clock).

    `me` is the viewer's name as an operator; "" for one that may set nothing.
    """

    words: Words
    notes: AlertNotes
    now: int
    me: str = ""

    def handling(self, alert: OpenAlert) -> Handling:
        """The handling of an alert."""
        note = self.notes.of(alert)
        state = state_of(note, self.now)
        if note is None:
            return Handling(alert.alert_id, state, "", "", 0)
        say, texts, at = self.words.say, [], 0
        if state == "snoozed" and note.snoozed_until and note.snoozed:
            at = parse_instant(note.snoozed_until)
            until = self.words.stamp(at, self.now)
            texts.append(say("handled.snoozed", until=until, name=note.snoozed.by))
        if state == "acked" and note.acked:
            at = parse_instant(note.acked.at)
            stamp = self.words.stamp(at, self.now)
            texts.append(say("handled.acked", name=note.acked.by, at=stamp))
        if note.owner:
            texts.append(say("handled.owner", name=note.owner))
        return Handling(alert.alert_id, state, note.owner or "", " · ".join(texts), at)
