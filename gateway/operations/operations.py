"""Operations of an installation at a moment: flow, processes, tiers, dead letters, actions.

What one request has read serves the others for five seconds: a page that is open in many browsers
costs the broker no more than in one.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from broker.connect import Connection
from broker.errors import BrokerFailed
from broker.fetcher import Message
from gateway.operations.flow import Flow, FlowSample
from gateway.operations.letters import Replays, newest_letters
from gateway.operations.processes import ProcessSample, processes_in
from schemas.errors import Busy, OrdertideError, StateError
from sinks.actions.outbox import Outbox, Task
from sinks.subscriptions.deliveries import reading
from storage_tiering.tier import Tier

LOOK_EVERY_S = 5.0


class TierSample(NamedTuple):
    """A tier: its size in bytes (None while it doesn't answer), and why it can't be vouched for."""

    name: str
    size_bytes: int | None
    stale: str


class ActionsSample(NamedTuple):
    """The outbox of actions: how many by receiver and state, and those that are dead."""

    counts: Mapping[tuple[str, str], int]
    dead: Sequence[Task]


class Sample(NamedTuple):
    """Everything at a moment. `letters` are the newest ones, replayed ones among them.

    `has_all_letters` unless there are more. `letters_fault` is why they can't be read now,
    `actions_fault` the same of the outbox; `actions` is None without an outbox on this host.
    `deliveries` are those to webhooks by subscription and state, but for those that are done.
    """

    flow: FlowSample
    processes: Sequence[ProcessSample]
    letters: Sequence[Message]
    has_all_letters: bool
    letters_fault: str
    actions: ActionsSample | None
    actions_fault: str
    deliveries: Mapping[tuple[str, str], int] = {}


class Operations:
    """Reads it all when it is asked; nothing stays open."""

    def __init__(
        self,
        connection: Connection,
        groups: Mapping[str, tuple[str, Sequence[str]]],
        targets: Path | None = None,
        outbox: Path | None = None,
        deliveries: Path | None = None,
        look_every_s: float = LOOK_EVERY_S,
        *,
        now_ms: Callable[[], int],
    ) -> None:
        """Create it without reading anything.

        `groups` are those of `Flow`, `targets` is the folder in which processes register, `outbox`
        and `deliveries` the files of the action worker. What one request has read holds for
        `look_every_s`. `now_ms` is the wall clock, by which actions are held back.
        """
        self.flow = Flow(connection, groups)
        self.replays = Replays()
        self._connection = connection
        self._targets = targets
        self._outbox = outbox
        self._deliveries = deliveries
        self._look_every_s = look_every_s
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._sample: tuple[float, Sample] | None = None

    def sample(self) -> Sample:
        """The installation now; takes as long as the broker and the processes take to answer."""
        with self._lock:
            if self._sample is None or time.monotonic() - self._sample[0] >= self._look_every_s:
                self._sample = time.monotonic(), self._read()
            return self._sample[1]

    def letters_of(self, code: str) -> list[Message]:
        """The letters of a code that are original and were not replayed yet, read anew.

        Raises:
            Busy: the broker is unavailable.
        """
        found, _ = newest_letters(self._connection)
        return self.replays.waiting(found, code)

    def _read(self) -> Sample:
        letters, has_all, letters_fault = self._letters()
        actions, actions_fault = self._actions()
        deliveries, deliveries_fault = self._counted()
        return Sample(
            flow=self.flow.sample(),
            processes=processes_in(self._targets),
            letters=letters,
            has_all_letters=has_all,
            letters_fault=letters_fault,
            actions=actions,
            actions_fault=actions_fault or deliveries_fault,
            deliveries=deliveries,
        )

    def _letters(self) -> tuple[list[Message], bool, str]:
        try:
            return *newest_letters(self._connection), ""
        except (Busy, BrokerFailed) as error:
            return [], True, str(error)

    def _actions(self) -> tuple[ActionsSample | None, str]:
        if self._outbox is None or not self._outbox.is_file():
            return None, ""
        try:
            outbox = Outbox(self._outbox)
            try:
                counted = outbox.counts(self._now_ms())
                counts = {(receiver, str(state)): n for (receiver, state), n in counted.items()}
                return ActionsSample(counts, outbox.dead()), ""
            finally:
                outbox.close()
        except (Busy, StateError) as error:
            return None, str(error)

    def _counted(self) -> tuple[Mapping[tuple[str, str], int], str]:
        if self._deliveries is None:
            return {}, ""
        try:
            with reading(self._deliveries) as found:
                counted = found.counts() if found else {}
                return {(webhook, str(state)): n for (webhook, state), n in counted.items()}, ""
        except (Busy, StateError) as error:
            return {}, str(error)


def tier_samples(tiers: Sequence[Tier]) -> list[TierSample]:
    """Size and state of the tiers that look-ups ask."""
    return [tier_sample(tier) for tier in tiers]


def tier_sample(tier: Tier) -> TierSample:
    """Size and state of a tier; one that doesn't answer says why."""
    try:
        staleness = tier.staleness()
        return TierSample(tier.name, tier.size_bytes(), str(staleness) if staleness else "")
    except OrdertideError as error:
        return TierSample(tier.name, None, str(error))
