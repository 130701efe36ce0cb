"""Schedule of the demo: when its recorded history ends, and how fast time passes afterwards.

`--once` keeps the recorded times. A live demo ends its history now, so that nothing on the board is
years old: all events are moved by the same time, those of the sample by whole days, as a promise of
a day stays one.
"""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from commands.demo.orders import HISTORY_END_AT, Pace, Timed
from schemas.instants import DAY_MS, HOUR_MS, MINUTE_MS

INSTANTS = ("timestamp", "recorded_at", "promised_at")


class Schedule(NamedTuple):
    """Schedule: the history ends at `end_at` (ms), then a second is `ms_per_s` of the stream.

    `pace` is how closely generated orders follow each other. `is_live`: the orders that the board
    points to are among them.
    """

    end_at: int
    ms_per_s: int
    pace: Pace
    is_live: bool

    @property
    def shift_ms(self) -> int:
        """Time that is added to generated events."""
        return self.end_at - HISTORY_END_AT

    @property
    def sample_shift_ms(self) -> int:
        """Time that is added to the sample's events: whole days."""
        return self.shift_ms // DAY_MS * DAY_MS


RECORDED = Schedule(
    end_at=HISTORY_END_AT,
    ms_per_s=HOUR_MS,
    pace=Pace(busy_for_ms=8 * DAY_MS, busy_ms=50 * MINUTE_MS, live_ms=6 * MINUTE_MS),
    is_live=False,
)


def live_from(end_at: int) -> Schedule:
    """The schedule of a demo whose history ends at `end_at`, now, and continues a minute a second.

    Orders follow each other closely: a card moves every ten seconds or so.
    """
    pace = Pace(busy_for_ms=8 * DAY_MS, busy_ms=12 * MINUTE_MS, live_ms=4 * MINUTE_MS)
    return Schedule(end_at=end_at, ms_per_s=MINUTE_MS, pace=pace, is_live=True)


def shifted(timed: Timed, by_ms: int) -> Timed:
    """An event with all its times later by `by_ms`, each in the offset that it has."""
    if not by_ms:
        return timed
    at, source, name, event = timed
    moved: dict[str, Any] = {key: later(event[key], by_ms) for key in INSTANTS if key in event}
    if "planned" in event:
        moved["planned"] = {code: later(text, by_ms) for code, text in event["planned"].items()}
    return at + by_ms, source, name, event | moved


def later(text: str, by_ms: int) -> str:
    """An instant later by `by_ms`; what is none stays as it is."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return (moment + timedelta(milliseconds=by_ms)).isoformat()
