"""The doctor on a tier's own doubt: whether it has lost writes."""

from collections.abc import Iterator

from commands.doctor.findings import CheckContext, Finding, warning
from commands.wiring.tiers import written_tiers
from schemas.errors import OrdertideError


def doubts(context: CheckContext, name: str) -> Iterator[Finding]:
    """Warn where the tier can't be vouched for; that it is unreachable is reported elsewhere."""
    tiers = written_tiers(context.settings, [name])
    try:
        doubt = tiers[name].doubt() if name in tiers else None
    except OrdertideError:
        return
    finally:
        for tier in tiers.values():
            tier.close()
    if doubt is not None:
        remedy = doubt.lasting or "its writer reads the topics again: check that it runs"
        if name == "archive":
            remedy = "run 'ordertide archive verify --repair'"
        yield warning("writes", f"the tier has lost writes: {doubt}", remedy)
