"""Silencer: keeps the receiver's silences as the snoozes of open alerts have them.

Level-triggered, as delivery is: the silences in force at the receiver are listed, and the
difference to those wanted is made. So neither a restart nor an answer that was lost makes a second
silence. Where two processes made one each, during a takeover, the next listing ends one of them.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Set as AbstractSet

from broker.backoff import Backoff
from schemas.errors import Busy, Rejected
from schemas.instants import parse_instant
from sinks.channels.channel import Silence, SilencingChannel
from sinks.delivery.entries import OrderKey
from sinks.delivery.ledger import Ledger
from sinks.delivery.metrics import DeliveryMetrics
from sinks.delivery.notes import NoteFollower
from sinks.delivery.sender import MAX_WAIT_S
from sinks.delivery.versions import Versions

LOGGER = logging.getLogger("ordertide.delivery")
COMPARE_EVERY_S = 1.0
# A receiver that was killed may have lost some, and gets its alerts again by the next renewal. Then
# their group waits half a minute (Alertmanager's default) before it notifies anybody.
LIST_EVERY_S = 15.0

Subject = tuple[str, str]  # an alert's labels `alert_id` and `severity`


class Silencer:
    """Keeps silences at `channel`, on alerts of the orders in partitions of this process."""

    def __init__(
        self,
        channel: SilencingChannel,
        notes: NoteFollower,
        ledger: Ledger,
        versions: Versions,
        watch: DeliveryMetrics,
    ) -> None:
        """Create a silencer that has listed nothing yet."""
        self.channel = channel
        self.notes = notes
        self.ledger = ledger
        self.versions = versions
        self.watch = watch
        self._kept: dict[Subject, Silence] = {}
        self._partitions: set[int] = set()
        self._refused: set[Silence] = set()
        self._backoff = Backoff(MAX_WAIT_S)
        self._compare_at = self._list_at = 0.0  # time.monotonic()

    def keep(self, partitions: AbstractSet[int], now_at: int, *, at_once: bool) -> None:
        """Make the silences those of the snoozes at `now_at` (ms), unless the channel is busy.

        This is done once a second, and `at_once` for new notes. `partitions` are those that were
        read whole: before, an alert may be unknown here, or have ended.
        """
        if not self.notes.is_loaded or (time.monotonic() < self._compare_at and not at_once):
            return
        self._compare_at = time.monotonic() + COMPARE_EVERY_S
        wanted = self._wanted(partitions, now_at)
        pending = len({one[:2] for one in {*wanted.values()} ^ {*self._kept.values()}})
        if partitions != self._partitions:  # of a new one silences may be obsolete
            self._partitions, self._list_at = {*partitions}, 0.0
        is_due = time.monotonic() >= self._list_at
        if is_due or (pending and not self._backoff.is_failing):
            try:
                self._reconcile(wanted, partitions)
            except Busy as busy:
                self._wait(busy)
            else:
                self._settle(wanted)
                pending = 0
        self.watch.silences(len(self._kept), pending)

    def _wanted(self, partitions: AbstractSet[int], now_at: int) -> dict[Subject, Silence]:
        found: dict[Subject, Silence] = {}
        for alert_id, note in self.notes.snoozed(now_at).items():
            for partition in partitions:
                order = OrderKey(partition, note.key)
                notice = self.ledger.open_notice(order, alert_id, note.severity)
                if notice and note.snoozed_until and note.snoozed:
                    subject = alert_id, notice.labels["severity"]
                    until = parse_instant(note.snoozed_until)
                    found[subject] = Silence(*subject, until, note.snoozed.by, note.key)
        return found

    def _reconcile(self, wanted: dict[Subject, Silence], partitions: AbstractSet[int]) -> None:
        held: dict[Subject, list[Silence]] = defaultdict(list)
        for silence in sorted(self.channel.silences()):
            held[silence.alert_id, silence.severity].append(silence)
        for subject, silences in held.items():
            for silence in silences[subject in wanted :]:
                if any(self.versions.has(OrderKey(each, silence.order)) for each in partitions):
                    self.channel.end_silence(silence.silence_id)
        for subject, silence in wanted.items():
            found = held[subject][0] if held[subject] else silence
            as_wanted = silence._replace(silence_id=found.silence_id)
            if found != as_wanted or not found.silence_id:
                self._make(as_wanted)

    def _make(self, silence: Silence) -> None:
        if silence in self._refused:
            return
        try:
            self.channel.silence(silence)
        except Rejected as rejected:
            LOGGER.warning(
                "%s: the silence on alert %s of order %s is refused: %s; it isn't offered again",
                *(self.channel.name, silence.alert_id, silence.order, rejected),
            )
            self._refused.add(silence)
            self.watch.silence_refused(rejected.code)

    def _settle(self, kept: dict[Subject, Silence]) -> None:
        self._kept = kept
        self._list_at = time.monotonic() + LIST_EVERY_S
        if self._backoff.is_failing:
            self._backoff.reset()
            self.watch.answered()

    def _wait(self, busy: Busy) -> None:
        wait_s = self._backoff.next_s(busy.retry_after_s)
        self._list_at = time.monotonic() + wait_s
        LOGGER.warning("%s: silences wait %.1f s: %s", self.channel.name, wait_s, busy.reason)
        self.watch.waiting(busy.reason, wait_s)
