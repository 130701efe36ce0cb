"""What rules files call the anchors."""

from dataflows.core.anchors import (
    Anchor,
    Announced,
    Behind,
    Created,
    Field,
    LastUpdate,
    Milestone,
    Planned,
    StatusSince,
)
from dataflows.core.lifecycle import Lifecycle
from schemas.errors import SettingsError


def parse_anchor(  # noqa: PLR0911 - one line a kind
    text: str, table: Lifecycle
) -> Anchor:
    """The anchor that a rule names.

    Raises:
        SettingsError: no such anchor.
    """
    kind, _, names = text.partition(" ")
    codes = [name.strip() for name in names.split(",") if name.strip()]
    if kind in {"created", "condition"} and not codes:
        return Created(table)
    if kind == "last_update" and not codes:
        return LastUpdate(table)
    if kind == "status_since" and not codes:
        return StatusSince(table)
    if kind in {"promised_at", "ship_by"} and not codes:
        return Field(kind, table)
    if kind == "planned" and len(codes) == 1:
        return Planned(codes[0], table)
    if kind == "announced" and len(codes) == 1 and codes[0] in table.index:
        return Announced(codes[0], table)
    if names.startswith("after ") and {kind, names[6:].strip()} <= table.index.keys():
        return Behind(text, kind, names[6:].strip(), table)
    unknown = [code for code in codes if code not in table.index]
    if kind == "milestone" and codes and not unknown:
        return Milestone(text, codes, table)
    if kind == "milestone" and unknown:
        message = f"anchor: the lifecycle has no status {', '.join(unknown)}"
        raise SettingsError(message)
    message = (
        f"anchor: {text!r} is none of created, last_update, promised_at, ship_by, condition, "
        "status_since, milestone STATUS[, STATUS], planned STATUS, announced STATUS, "
        "STATUS after STATUS"
    )
    raise SettingsError(message)
