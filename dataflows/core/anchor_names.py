"""Anchors: what rules files call the instants that deadlines count from."""

from typing import NamedTuple

from dataflows.core.lifecycle import Lifecycle
from schemas.errors import SettingsError

PROMISES = frozenset({"promised_at", "ship_by"})


class Anchor(NamedTuple):
    """Anchor of a deadline, as the compiled core takes it (`engine/core/src/rules/anchors.rs`).

    `kind` is one of the core's, `statuses` are those that it names, by number; `milestone` is that
    of a plan.
    """

    name: str
    kind: str
    statuses: tuple[int, ...] = ()
    milestone: str = ""

    @property
    def promised(self) -> bool:
        """Return True if it is something promised."""
        return self.kind in PROMISES


def parse_anchor(text: str, table: Lifecycle) -> Anchor:
    """The anchor that a rule names.

    Raises:
        SettingsError: no such anchor.
    """
    kind, _, names = text.partition(" ")
    codes = [name.strip() for name in names.split(",") if name.strip()]
    if kind in {"created", "condition"} and not codes:
        return Anchor("created", "created")
    if kind in {"last_update", "status_since", *PROMISES} and not codes:
        return Anchor(kind, kind)
    if kind == "planned" and len(codes) == 1:
        return Anchor(f"planned {codes[0]}", kind, milestone=codes[0])
    if kind == "announced" and len(codes) == 1 and codes[0] in table.index:
        return Anchor(f"announced {codes[0]}", kind, (table.index[codes[0]],))
    present = names[6:].strip()
    if names.startswith("after ") and {kind, present} <= table.index.keys():
        return Anchor(text, "behind", (table.index[kind], table.index[present]))
    unknown = [code for code in codes if code not in table.index]
    if kind == "milestone" and codes and not unknown:
        return Anchor(text, kind, tuple(table.index[code] for code in codes))
    if kind == "milestone" and unknown:
        message = f"anchor: the lifecycle has no status {', '.join(unknown)}"
        raise SettingsError(message)
    message = (
        f"anchor: {text!r} is none of created, last_update, promised_at, ship_by, condition, "
        "status_since, milestone STATUS[, STATUS], planned STATUS, announced STATUS, "
        "STATUS after STATUS"
    )
    raise SettingsError(message)
