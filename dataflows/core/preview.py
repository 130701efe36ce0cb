"""The preview: an order with facts ahead of the watermark.

Its document is published at once. The folded order is kept, so that it isn't folded again when the
watermark reaches the facts and nothing else has happened to the order; the outcome of each fact is
emitted then.
"""

from dataflows.core.fact import Fact
from dataflows.core.output import Output
from dataflows.core.packing import Order
from schemas.errors import Rejected


class Preview:
    """An order with waiting facts applied, and the outcome of each of them."""

    def __init__(self, order: Order, version: int) -> None:
        """Create one of `order` before its facts are applied; `version` is its version then."""
        self.order = order
        self.version = version
        self.outcomes: list[tuple[Fact, bool, Rejected | None]] = []

    def duplicate(self, fact: Fact) -> None:
        """Record a duplicate; it is counted when the watermark reaches it."""
        self.outcomes.append((fact, False, None))

    def reject(self, fact: Fact, reason: Rejected) -> None:
        """Record a refusal; it is published when the watermark reaches the fact."""
        self.outcomes.append((fact, False, reason))

    def took(self, order: Order, fact: Fact, *, refused: bool) -> None:
        """Record an applied fact; it is published when the watermark reaches it."""
        if refused:
            message = f"order {order.key}: a command was judged ahead of the watermark"
            raise ValueError(message)
        self.outcomes.append((fact, True, None))

    def emit(self, out: Output) -> bool:
        """Emit the outcomes once the watermark has reached the facts; whether any was new."""
        took = False
        for fact, was_new, reason in self.outcomes:
            if was_new:
                out.took(self.order, fact, refused=False)
                took = True
            elif reason:
                out.reject(fact, reason)
            else:
                out.duplicate(fact)
        return took
