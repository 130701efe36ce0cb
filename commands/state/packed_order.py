"""Check of a packed order against its history."""

from functools import lru_cache

from dataflows.core.compiled import Fold, check_order
from dataflows.core.lifecycle import Lifecycle
from dataflows.state.local.frame import REMEDY

REEVALUATE = f"{REMEDY}; if the code was changed since, report it with this order's packed export"


@lru_cache(maxsize=1)
def fold_of(table: Lifecycle) -> Fold:
    """Return the fold by a lifecycle."""
    return Fold(table)


def fault_of(key: str, data: bytes, table: Lifecycle | None) -> str | None:
    """Return the fault of an order's bytes, with the remedy; None for a valid one.

    With the `table` that it was folded by, its history is folded again and compared.
    """
    try:
        check_order(key, data)
        names = fold_of(table).differences(key, data) if table else []
    except ValueError as error:
        return f"can't be unpacked, {error}; {REMEDY}"
    except RuntimeError as error:
        return f"its history can't be folded, {error}; {REMEDY}"
    return f"{', '.join(names)} differ from its folded history; {REEVALUATE}" if names else None
