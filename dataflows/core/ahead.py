"""An order as it looks with facts that the clock has not reached yet.

It is shown at once. When the clock comes and nothing else has happened to the order meanwhile, the
same work need not be done again: what became of the facts is told then.
"""

from dataflows.core.fact import Fact
from dataflows.core.output import Output
from dataflows.core.packing import Order
from schemas.errors import Rejected


class Ahead:
    """An order with waiting facts applied, and what became of each of them."""

    def __init__(self, order: Order, version: int) -> None:
        """`order` before the facts are applied; `version` is what it had then."""
        self.order = order
        self.version = version
        self.heard: list[tuple[Fact, bool, Rejected | None]] = []

    def duplicate(self, fact: Fact) -> None:
        """It will be counted when the clock reaches it."""
        self.heard.append((fact, False, None))

    def reject(self, fact: Fact, reason: Rejected) -> None:
        """It will be rejected when the clock reaches it."""
        self.heard.append((fact, False, reason))

    def took(self, order: Order, fact: Fact, *, refused: bool) -> None:
        """It will be told when the clock reaches it."""
        if refused:
            message = f"order {order.key}: a command was judged ahead of the clock"
            raise ValueError(message)
        self.heard.append((fact, True, None))

    def tell(self, out: Output) -> bool:
        """The clock has come; whether anything was new."""
        took = False
        for fact, was_new, reason in self.heard:
            if was_new:
                out.took(self.order, fact, refused=False)
                took = True
            elif reason:
                out.reject(fact, reason)
            else:
                out.duplicate(fact)
        return took
