"""Rules: read from a file, checked, compiled, and indexed by the statuses to which they apply."""

import re
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from dataflows.core.anchor_names import Anchor, parse_anchor
from dataflows.core.conditions import Condition
from dataflows.core.lifecycle import NO_STATUS, Lifecycle
from dataflows.core.rules_file import ActionRow, AnchorRow, RuleRow, RulesFile
from dataflows.core.working_time import WorkingTime, holidays_version
from schemas.errors import SettingsError
from schemas.instants import DAY_MS, HOUR_MS, format_duration, parse_duration

LEVELS: dict[str, int] = {"warning": 1, "overdue": 2}
WORKING = re.compile(r"(\d{1,3})(wd|wh)")
LONGEST_MS = 36_500 * DAY_MS  # behind any event that is plausible it can still be written as a date


class Act(NamedTuple):
    """A compiled action."""

    kind: str
    expires_ms: int


class Limit(NamedTuple):
    """Span after an instant: `offset_ms` (negative: before it), or working time."""

    offset_ms: int
    text: str
    calendar: WorkingTime | None = None
    working_ms: int = 0
    in_hours: bool = False


class Deadline(NamedTuple):
    """A compiled anchor with its limit."""

    anchor: Anchor
    after: Limit


class Rule:
    """A compiled rule. `level` is 0 for a rule that opens no alert, 1 warning, 2 overdue."""

    def __init__(
        self,
        row: RuleRow,
        table: Lifecycle,
        attributes: dict[str, bool],
        calendars: dict[str, WorkingTime],
    ) -> None:
        """Create the rule of `row`.

        Raises:
            SettingsError: names what in the rule is wrong.
        """
        self.id = row.id
        self.row = row
        self.per_shipment = row.per == "shipment"
        self.statuses = indices(row.statuses, table, "statuses")
        self.shipment_statuses = self.subject_statuses(row, table)
        anchors = row.anchors or [AnchorRow(row.anchor or "", row.after, row.before, row.calendar)]
        self.deadlines = [
            Deadline(
                parse_anchor(a.anchor, table),
                limit(a.after, a.before, a.calendar or row.calendar, calendars),
            )
            for a in anchors
        ]
        self.directions = {True, False} if not row.direction else {row.direction == "return"}
        self.unless = (
            parse_anchor(f"milestone {row.unless_reached}", table) if row.unless_reached else None
        )
        self.once = (
            parse_anchor(f"milestone {row.once_reached}", table) if row.once_reached else None
        )
        self.unscanned = row.unscanned
        self.when = (
            Condition(row.when, attributes, of="when", carriers=table.carriers)
            if row.when
            else None
        )
        self.on_condition = anchors[0].anchor == "condition"
        self.level = LEVELS[row.severity] if row.severity else 0
        self.escalation = (
            limit(row.escalate.after, row.escalate.before, row.calendar, calendars)
            if row.escalate
            else None
        )
        self.action = act(row.action)
        self.escalated_action = act(row.escalate.action) if row.escalate else None
        self.pausing = {
            table.index[code]: duration(limit, of=f"pausing.{code}")
            for code, limit in row.pausing.items()
        }
        self.stale_after_ms = (
            duration(row.stale_after, of="stale_after") if row.stale_after else None
        )
        limits = [deadline.after for deadline in self.deadlines]
        limits += [self.escalation] if self.escalation else []
        self.working = [one for one in limits if one.calendar]
        self.line = 0  # of the rules file
        self.check()

    @staticmethod
    def subject_statuses(row: RuleRow, table: Lifecycle) -> frozenset[int]:
        """The parcel statuses in which the rule applies; NO_STATUS where any will do."""
        if row.shipment_statuses is not None:
            return indices(row.shipment_statuses, table, "shipment_statuses")
        barred = indices(row.not_shipment_statuses, table, "not_shipment_statuses")
        return frozenset({*range(len(table.rows)), NO_STATUS} - barred)

    def check(self) -> None:
        """Refuse rules that say nothing or contradict themselves."""
        faults = []
        if not self.level and not self.action:
            faults.append("has neither severity nor action, so it would do nothing")
        if self.on_condition and not self.when:
            faults.append('anchor = "condition" needs when')
        if self.on_condition and self.deadlines[0].after.text != "0s":
            faults.append('anchor = "condition" is due at once; leave after and before out')
        if self.escalation is not None and self.level != 1:
            faults.append('only a rule with severity = "warning" can escalate')
        if self.escalation is not None and not is_later(self.escalation, self.deadlines[0].after):
            faults.append("escalate comes no later than the warning")
        if self.escalated_action and self.action and self.escalated_action.kind == self.action.kind:
            faults.append(
                "the escalation's action is the same as the rule's; an action is done once"
            )
        if self.pausing and not self.per_shipment:
            faults.append('pausing needs per = "shipment"')
        if self.pausing and any(d.anchor.promised for d in self.deadlines):
            faults.append("a promise to the customer is never paused")
        faults += self.parcel_faults()
        if faults:
            raise SettingsError("; ".join(faults))

    def parcel_faults(self) -> list[str]:
        """Faults of a rule per order that has what only a rule per parcel can have."""
        if self.per_shipment:
            return []
        names = {deadline.anchor.name.partition(" ")[0] for deadline in self.deadlines}
        faults = [
            f'anchor = "{name}" needs per = "shipment"'
            for name in ("status_since", "announced")
            if name in names
        ]
        faults += ['unscanned needs per = "shipment"'] if self.unscanned else []
        return [*faults, 'direction needs per = "shipment"'] if self.row.direction else faults


def is_later(one: Limit, other: Limit) -> bool:
    """Return True if a limit is later than another, as far as that is known without a date."""
    if (one.calendar is None) != (other.calendar is None):
        return True
    return (one.offset_ms, one.working_ms) > (other.offset_ms, other.working_ms)


def indices(codes: list[str], table: Lifecycle, of: str) -> frozenset[int]:
    """Indices of status codes; `*` stands for all.

    Raises:
        SettingsError: a code that the lifecycle doesn't have.
    """
    if codes == ["*"]:
        return frozenset(range(len(table.rows)))
    for code in codes:
        if code not in table.index:
            message = f"{of}: the lifecycle has no status {code}"
            raise SettingsError(message)
    return frozenset(table.index[code] for code in codes)


def limit(
    after: str | None,
    before: str | None,
    calendar: str | None,
    calendars: dict[str, WorkingTime],
) -> Limit:
    """The limit of a row's `after` and `before`, by its `calendar` where it is working time.

    Raises:
        SettingsError: it is none, or its calendar isn't there.
    """
    if calendar is not None and calendar not in calendars:
        known = ", ".join(sorted(calendars)) or "none"
        message = f"calendar: {calendar!r} is none of the file; known: {known}"
        raise SettingsError(message)
    if after and before:
        message = "both after and before are given; one is needed"
        raise SettingsError(message)
    working = WORKING.fullmatch(after or "")
    if working:
        if calendar is None:
            message = f"after: {after} is working time; name a calendar of the file"
            raise SettingsError(message)
        in_hours = working[2] == "wh"
        ms = int(working[1]) * (HOUR_MS if in_hours else DAY_MS)
        by = calendars[calendar]
        if ms > by.total(in_hours=in_hours):
            first, last = by.span.years
            message = (
                f"after: {after} is longer than all working time of {by.span.name} in its years "
                f"{first} to {last}; name more years there"
            )
            raise SettingsError(message)
        return Limit(0, after or "", by, ms, in_hours)
    if before:
        ms = duration(before, of="before")
        return Limit(-ms, f"-{format_duration(ms)}")
    ms = duration(after or "0s", of="after")
    return Limit(ms, format_duration(ms) if ms else "0s")


def duration(text: str, *, of: str) -> int:
    """The ms of a duration.

    Raises:
        SettingsError: it is none, or so long that no due time could be written.
    """
    ms = parse_duration(text, of=of)
    if ms > LONGEST_MS:
        message = f"{of}: {text} is longer than {format_duration(LONGEST_MS)}"
        raise SettingsError(message)
    return ms


def act(row: ActionRow | None) -> Act | None:
    """Compile an action."""
    return Act(row.kind, duration(row.expires, of="action.expires")) if row else None


class Rules:
    """The compiled rules, as the compiled core takes them."""

    def __init__(
        self, file: RulesFile, rules: list[Rule], calendars: dict[str, WorkingTime]
    ) -> None:
        """Take the rules and calendars of a file."""
        self.calendars = calendars
        self.rules = rules
        # The public holidays of calendars are the package's: another version may know other days.
        days = holidays_version() if file.calendar else b""
        self.digest = blake2b(msgspec.json.encode(file) + days, digest_size=16).hexdigest()
        self.readings = {name: row.type for name, row in file.attributes.items() if row.reading}
        self.attributes = {
            name: row.type for name, row in file.attributes.items() if not row.reading
        }
