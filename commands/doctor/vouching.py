"""The doctor on a tier's own staleness: whether it has lost writes."""

from collections.abc import Iterator

from commands.doctor.findings import CheckContext, Finding, warning
from commands.wiring.tiers import written_tiers
from schemas.errors import OrdertideError


def staleness_of(context: CheckContext, name: str) -> Iterator[Finding]:
    """Warn where the tier can't be vouched for; that it is unreachable is reported elsewhere."""
    tiers = written_tiers(context.settings, [name])
    try:
        staleness = tiers[name].staleness() if name in tiers else None
    except OrdertideError:
        return
    finally:
        for tier in tiers.values():
            tier.close()
    if staleness is not None:
        remedy = staleness.lasting or "its writer reads the topics again: check that it runs"
        if name == "archive":
            remedy = "run 'ordertide archive verify --repair'"
        yield warning("writes", f"the tier has lost writes: {staleness}", remedy)
