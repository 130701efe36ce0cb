"""Orders and their alerts as the tiers have them, for the threads of the action worker."""

from functools import partial

from commands.wiring.tiers import written_tiers
from schemas.alert import Action
from schemas.errors import Busy, OrdertideError, UnknownOrder
from schemas.instants import parse_instant
from schemas.settings.model import Settings
from sinks.actions.attempt import Alerts, AlertStatus
from sinks.actions.preparation import KnownOrder, Orders
from storage_tiering.find import Answer, find
from storage_tiering.installed import lookup_tiers
from storage_tiering.pool import TierPool

COLD = "archive"  # it takes seconds, and an action waits five


class TierAlerts(Alerts):
    """Looks alerts up in the tiers of a pool, hottest first."""

    def __init__(self, pool: TierPool) -> None:
        """Create it with a pool, which its owner closes."""
        self._pool = pool

    def status_of(self, action: Action) -> AlertStatus:
        answer = found_in(self._pool, action)
        return status_in(answer, action) if answer else "unknown"


class TierOrders(Orders):
    """Looks orders up in the tiers of a pool, hottest first."""

    def __init__(self, pool: TierPool) -> None:
        """Create it with a pool, which its owner closes."""
        self._pool = pool

    def find(self, action: Action) -> KnownOrder | None:
        answer = found_in(self._pool, action)
        if answer is None:
            return None
        return KnownOrder(answer.found.document, is_current=is_current(answer, action))


def found_in(pool: TierPool, action: Action) -> Answer | None:
    """The order of an action; None where no tier has it, or none answers."""
    try:
        with pool.taken() as tiers:
            return find(tiers, action.tenant, action.order_id)
    except (Busy, UnknownOrder):
        return None
    except OrdertideError:  # a tier that is damaged must not hold back an action
        return None


def status_in(answer: Answer, action: Action) -> AlertStatus:
    """Status of the action's alert by an answer.

    `ended` needs an answer that includes everything up to after the action: an older one lacks the
    alert because it had not opened yet.
    """
    if any(alert.alert_id == action.alert_id for alert in answer.found.document.open_alerts):
        return "open"
    return "ended" if is_current(answer, action) else "unknown"


def is_current(answer: Answer, action: Action) -> bool:
    """Return True if an answer includes everything up to after the action."""
    through_at = answer.found.watermark
    return through_at is not None and through_at > parse_instant(action.at)


def tier_pool(settings: Settings) -> TierPool:
    """The tiers that look-ups ask, the archive left out."""
    names = [name for name in lookup_tiers(settings) if name != COLD]
    return TierPool(names, partial(written_tiers, settings))
