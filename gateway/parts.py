"""Gateway: the parts that handlers work with, put together by `commands/serve.py`."""

from collections.abc import Callable, Mapping
from datetime import UTC, tzinfo
from typing import NamedTuple

from dataflows.carriers.carrier import Carrier
from dataflows.core.lifecycle import Lifecycle
from dataflows.core.rules import Rules
from gateway.access.access import Access
from gateway.access.shares import Shares
from gateway.board.tiles import TileSource
from gateway.control import Control
from gateway.dead_letters import Originals
from gateway.idempotency import Idempotency
from gateway.ingest import Ingest
from gateway.limits import Limits
from gateway.live.follower import Follower
from gateway.live.hub import Hub
from gateway.operations.operations import Operations
from gateway.tier_readers import TierReaders
from gateway.unsubscribing import Refusals
from gateway.verdicts import Verdicts
from gateway.webhooks import Webhooks
from schemas.alert_notes import AlertNotes
from schemas.alert_text import AlertText
from schemas.errors import Busy
from schemas.topics import CONTROL
from telemetry.health import Finding
from telemetry.metrics import Metrics

Wording = dict[str, AlertText]  # by language: en, zh


class Gateway(NamedTuple):
    """Parts of a `serve`.

    `parts` are those of its settings that it serves: api, board, callbacks. `is_recorded`: the
    stream's clock is that of recorded history, not now's. `wording` has the sentences of alerts by
    language, `accounts` the carriers that push, by (carrier, account). `commands` are the statuses
    that a party may request, by role. `originals` opens rejected messages. `now_ms` is the wall
    clock, to be shown. `title` and `contact` (an address or a mail address) are what customers see
    of the shop; pages show times in `zone`. `examples` are the links of the board's "try these".
    `tiles` are those behind routes, None for outlines alone.
    """

    parts: frozenset[str]
    access: Access
    follower: Follower
    tiers: TierReaders
    ingest: Ingest
    control: Control
    hub: Hub
    notes: AlertNotes
    lifecycle: Lifecycle
    rules: Rules
    wording: Wording
    limits: Limits
    metrics: Metrics
    now_ms: Callable[[], int]
    shares: Shares
    idempotency: Idempotency
    verdicts: Verdicts
    commands: Mapping[str, frozenset[str]]
    originals: Originals
    operations: Operations
    webhooks: Webhooks
    refusals: Refusals
    accounts: Mapping[tuple[str, str], Carrier] = {}
    is_recorded: bool = False
    title: str = "ordertide"
    contact: str = ""
    zone: tzinfo = UTC
    examples: Mapping[str, str] = {}
    tiles: TileSource | None = None

    @property
    def behind_s(self) -> float | None:
        """Seconds the stream is behind the wall clock.

        None before its first heartbeat, and for recorded history.
        """
        watermark = self.follower.watermark
        if watermark is None or self.is_recorded:
            return None
        return max(0.0, (self.now_ms() - watermark) / 1000)

    def is_following(self) -> Finding:
        """Readiness of the live view."""
        unready = self.follower.unready
        return Finding(ok=unready is None, reason=unready or "the live view is loaded")

    def is_controlled(self) -> Finding:
        """Readiness of what was set while running: keys, webhooks."""
        if self.control.failure:
            return Finding(ok=False, reason=str(self.control.failure))
        if not self.control.is_loaded:
            return Finding(ok=False, reason=f"reading {CONTROL.name}")
        return Finding(ok=True, reason="what was set while running is loaded")

    def check_controlled(self) -> None:
        """Refuse to answer by keys that aren't all read yet.

        Raises:
            Busy: they are being read.
            OrdertideError: the topic can't be read, for good.
        """
        if self.control.failure:
            raise self.control.failure
        if not self.control.is_loaded:
            raise Busy(f"settings made while running: {self.is_controlled().reason}; retry")

    def check_loaded(self) -> None:
        """Refuse to answer by a live view that isn't whole yet.

        Raises:
            Busy: with the progress of the reading.
            OrdertideError: the topic can't be read, for good.
        """
        if self.follower.failure:
            raise self.follower.failure
        if not self.follower.is_loaded:
            raise Busy(f"live view: {self.is_following().reason}; retry")
