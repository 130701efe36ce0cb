"""Alerts as the tiers have them, for the threads of the action worker."""

from collections.abc import Sequence
from functools import partial

from commands.wiring.tiers import written_tiers
from schemas.alert import Action
from schemas.errors import Busy, OrdertideError, UnknownOrder
from schemas.instants import parse_instant
from schemas.settings.model import Settings
from sinks.actions.attempt import Alerts, AlertStatus
from storage_tiering.find import Answer, find
from storage_tiering.installed import lookup_tiers
from storage_tiering.pool import OpenTiers, TierPool

COLD = "archive"  # it takes seconds, and an action waits five


class TierAlerts(Alerts):
    """Looks alerts up in the tiers `names`, hottest first."""

    def __init__(self, names: Sequence[str], open_tiers: OpenTiers) -> None:
        """Create it with tiers that are opened at their first use."""
        self._pool = TierPool(names, open_tiers)

    def status_of(self, action: Action) -> AlertStatus:
        try:
            with self._pool.taken() as tiers:
                return status_in(find(tiers, action.tenant, action.order_id), action)
        except (Busy, UnknownOrder):
            return "unknown"
        except OrdertideError:  # a tier that is damaged must not hold back an action
            return "unknown"

    def close(self) -> None:
        """Close the tiers that are not in use."""
        self._pool.close()


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
    return TierAlerts(names, partial(written_tiers, settings))
