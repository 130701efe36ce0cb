"""Monitor: what `top` shows, collected from the live view, the groups' positions and the clock."""

import time
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from typing import Self, TypeVar

import msgspec

from broker.connect import Connection
from broker.errors import BrokerFailed, TopicMissing
from broker.group_lags import GroupLag, GroupLags
from commands.wiring.definitions import lifecycle_of
from commands.wiring.tiers import writer_group, written_tiers
from gateway.live.beginning import first_orders
from gateway.live.follower import Follower
from gateway.live.view import Row
from gateway.tier_readers import TierReaders
from schemas.card import Card
from schemas.errors import Busy
from schemas.order import Lane
from schemas.settings.model import Settings
from schemas.topics import EVENTS, ORDERS_CHANGES, ORDERS_EVENTS
from storage_tiering.installed import lookup_tiers

Value = TypeVar("Value")
TREND_OVER_S = 600.0
NEWEST = 200
SPEED_OVER_S = 10.0


class Trend(msgspec.Struct, frozen=True):
    """Change of each lane since `since_s` seconds ago."""

    since_s: float
    lanes: dict[str, int]


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """Sample of everything that is shown.

    `watermark` is the stream's in ms; `behind_s` how far it is behind now, None for recorded
    history. `lags` has a None for a group that isn't known just now. `note` is what is wrong, or
    still under way.
    """

    watermark: int | None
    behind_s: float | None
    per_second: float
    lanes: Counter[str]
    trend: Trend
    statuses: Counter[str]
    carriers: Counter[str]
    lags: dict[str, GroupLag | None]
    rows: list[Row]
    note: str | None


class Monitor:
    """Collects samples between `with` and its end."""

    def __init__(
        self,
        settings: Settings,
        connection: Connection,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """Create a monitor of the installation of the settings."""
        written = [ORDERS_CHANGES, ORDERS_EVENTS]
        self._tiers = TierReaders(lookup_tiers(settings), partial(written_tiers, settings))
        first = first_orders(connection, self._tiers, lifecycle_of(settings))
        self.follower = Follower(connection, first_orders=first)
        self.is_recorded = settings.track.clock == "recorded"
        self.groups = {"track": settings.track.group}
        self.groups |= {f"write {tier}": writer_group(tier) for tier in lookup_tiers(settings)}
        topics = dict.fromkeys(self.groups.values(), written) | {settings.track.group: [EVENTS]}
        self._lags = GroupLags(connection, topics)
        self._lag_fault: str | None = "no positions yet"
        self._now_s = now_s
        self._lanes = deque[tuple[float, Counter[str]]]()
        self._read = deque[tuple[float, int]]()

    def __enter__(self) -> Self:
        self.follower.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.follower.close()
        self._tiers.close()
        self._lags.close()

    def look(self) -> None:
        """Query the groups' positions: up to seconds where the broker is away."""
        try:
            self._lags.look()
        except (Busy, TopicMissing, BrokerFailed) as error:
            self._lag_fault = str(error)
        else:
            self._lag_fault = None
            done = self._lags.of[self.groups["track"]].done
            remember(self._read, (time.monotonic(), done), SPEED_OVER_S)

    def sample(
        self, is_meant: Callable[[Card], bool] | None = None, lane: Lane | None = None
    ) -> Sample:
        """Sample of now; `is_meant` filters alerts, and with `lane` they are those due first.

        Raises:
            OrdertideError: the topic can't be read, for good.
        """
        if self.follower.failure:
            raise self.follower.failure
        with self.follower.view() as view:
            lanes = view.count_by("lane")
            statuses, carriers = view.count_by("status"), view.count_by("carrier")
            if lane is None:
                rows = view.newest(NEWEST, is_meant)
            else:
                page = view.page(lane, is_meant, limit=NEWEST)
                rows = [Row(card.alerts[0].since_at, card.alerts[0], card) for card in page]
        if self.follower.is_loaded:
            remember(self._lanes, (time.monotonic(), lanes), TREND_OVER_S)
        watermark = self.follower.watermark
        is_live = watermark is not None and not self.is_recorded
        return Sample(
            watermark=watermark,
            behind_s=self._now_s() - watermark / 1000 if watermark and is_live else None,
            per_second=self._speed(),
            lanes=lanes,
            trend=self._trend(lanes),
            statuses=statuses,
            carriers=carriers,
            lags={
                name: None if self._lag_fault else self._lags.of[group]
                for name, group in self.groups.items()
            },
            rows=rows,
            note=self._note(),
        )

    def _speed(self) -> float:
        """Messages of `events` a second that the dataflow processed lately."""
        if not self._read:
            return 0.0
        (first_s, first), (last_s, last) = self._read[0], self._read[-1]
        return max(0.0, (last - first) / (last_s - first_s)) if last_s > first_s else 0.0

    def _trend(self, lanes: Counter[str]) -> Trend:
        if not self._lanes:
            return Trend(0.0, {})
        since_s, before = self._lanes[0]
        changes = {lane: lanes[lane] - before[lane] for lane in {*lanes, *before}}
        return Trend(time.monotonic() - since_s, changes)

    def _note(self) -> str | None:
        follower = self.follower
        if follower.unready:
            return follower.unready
        if follower.unreadable:
            return f"{follower.unreadable:,} messages of {follower.topic} are no documents"
        return None


def remember(past: deque[tuple[float, Value]], latest: tuple[float, Value], over_s: float) -> None:
    """Append to the past, and drop what is older than `over_s`."""
    past.append(latest)
    while latest[0] - past[0][0] > over_s:
        past.popleft()
