"""Alerts as the tiers have them, for the threads of the action worker."""

from collections.abc import Callable, Mapping, Sequence
from queue import Empty, LifoQueue

from commands.wiring.tiers import written_tiers
from schemas.alert import Action
from schemas.errors import Busy, OrdertideError, UnknownOrder
from schemas.instants import parse_instant
from schemas.settings.model import Settings
from sinks.actions.attempt import Alerts, AlertStatus
from storage_tiering.find import Answer, find
from storage_tiering.installed import lookup_tiers
from storage_tiering.tier import Tier

COLD = "archive"  # it takes seconds, and an action waits five

OpenTiers = Callable[[Sequence[str]], Mapping[str, Tier]]


class TierAlerts(Alerts):
    """Looks alerts up in the tiers `names`, hottest first.

    A tier's client isn't made for several threads at once, so a thread takes a set of tiers out of
    the pool, or opens one.
    """

    def __init__(self, names: Sequence[str], open_tiers: OpenTiers) -> None:
        """Create a pool whose tiers are opened at their first use."""
        self.names = list(names)
        self._open = open_tiers
        self._pool = LifoQueue[dict[str, Tier]]()

    def status_of(self, action: Action) -> AlertStatus:
        tiers = self._taken()
        try:
            if missing := [name for name in self.names if name not in tiers]:
                tiers |= self._open(missing)
            asked = [tiers[name] for name in self.names if name in tiers]
            return status_in(find(asked, action.tenant, action.order_id), action)
        except (Busy, UnknownOrder):
            return "unknown"
        except OrdertideError:  # a tier that is damaged must not hold back an action
            return "unknown"
        finally:
            self._pool.put(tiers)

    def close(self) -> None:
        """Close the tiers that are not in use."""
        while tiers := self._taken():
            for tier in tiers.values():
                tier.close()

    def _taken(self) -> dict[str, Tier]:
        try:
            return self._pool.get_nowait()
        except Empty:
            return {}


def status_in(answer: Answer, action: Action) -> AlertStatus:
    """Status of the action's alert by an answer.

    `ended` needs an answer that includes everything up to after the action: an older one lacks the
    alert because it had not opened yet.
    """
    if any(alert.alert_id == action.alert_id for alert in answer.found.document.open_alerts):
        return "open"
    through_at = answer.found.watermark
    if through_at is None or through_at <= parse_instant(action.at):
        return "unknown"
    return "ended"


def tier_alerts(settings: Settings) -> TierAlerts:
    """The alerts of the tiers that look-ups ask, the archive left out."""
    names = [name for name in lookup_tiers(settings) if name != COLD]

    def open_tiers(missing: Sequence[str]) -> Mapping[str, Tier]:
        return written_tiers(settings, missing)

    return TierAlerts(names, open_tiers)
