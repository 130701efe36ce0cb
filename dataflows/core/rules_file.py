"""The rules file as it is written; docs/rules.md explains every field."""

from typing import Literal

import msgspec

from schemas.alert import Severity

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class AttributeRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A declared attribute; `reading = true` folds to min, max and last per parcel."""

    type: Literal["bool", "float", "int", "str"]
    reading: bool = False


class ActionRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Action: `kind` is handed to the action worker, void after `expires`."""

    kind: str
    expires: str


class EscalateRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a warning becomes overdue: `after` (or `before`) the same anchor."""

    severity: Literal["overdue"] = "overdue"
    after: str | None = None
    before: str | None = None
    action: ActionRow | None = None


class AnchorRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of several anchors; the first that the order has is taken."""

    anchor: str
    after: str | None = None
    before: str | None = None
    calendar: str | None = None


class CalendarRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A working calendar: public holidays of `country`, weekend, own days, and hours of a day."""

    zone: str = "UTC"
    country: str | None = None
    region: str | None = None
    weekend: tuple[Weekday, ...] = ("sat", "sun")
    closed: list[str] = []
    open: list[str] = []
    hours: str = "00:00-24:00"
    cut_off: str | None = None
    years: tuple[int, int] = (2000, 2050)


class RuleRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One rule as it is written; docs/rules.md explains every field."""

    id: str
    statuses: list[str]
    label: dict[str, str] = {}
    anchor: str | None = None
    anchors: list[AnchorRow] = []
    after: str | None = None
    before: str | None = None
    per: Literal["order", "shipment"] = "order"
    direction: Literal["forward", "return"] | None = None
    calendar: str | None = None
    shipment_statuses: list[str] | None = None
    not_shipment_statuses: list[str] = []
    unless_reached: str | None = None
    once_reached: str | None = None
    unscanned: bool = False
    when: str | None = None
    severity: Severity | None = None
    escalate: EscalateRow | None = None
    action: ActionRow | None = None
    pausing: dict[str, str] = {}
    stale_after: str | None = None


class RulesFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rules file as it is written."""

    version: Literal[1]
    rule: list[RuleRow]
    attributes: dict[str, AttributeRow] = {}
    calendar: dict[str, CalendarRow] = {}
