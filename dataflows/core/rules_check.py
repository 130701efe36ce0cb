"""Parsing and checks of a rules file: all its faults at once, each with file and line."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

from dataflows.core.anchor_names import parse_anchor
from dataflows.core.conditions import Condition
from dataflows.core.lifecycle import Lifecycle
from dataflows.core.rules import Rule, Rules, act, duration, limit
from dataflows.core.rules_file import AnchorRow, CalendarRow, RuleRow, RulesFile
from dataflows.core.working_time import WorkingTime, compile_calendar
from schemas.errors import SettingsError
from schemas.toml_document import TomlDocument
from schemas.type_faults import Fault, Place, converted_without, maybe_meant, type_faults

IDS = {"rule": "id"}  # the key that names a row, by array of tables
NO_STATUS = "the lifecycle has no status"
ANY = ["*"]
MILESTONES = ("unless_reached", "once_reached")  # columns that name a status


class Around(NamedTuple):
    """Surroundings of a rule: the attributes and calendars of its file.

    `broken` calendars have faults of their own: a rule that names one is not refused for it.
    """

    attributes: dict[str, bool]
    calendars: dict[str, WorkingTime]
    broken: set[str]


def parse_rules(text: str, name: str, table: Lifecycle) -> Rules:
    """Compile the text of a rules file; `name` is what errors call it.

    Raises:
        SettingsError: a line for each fault, with file, line, rule and problem.
    """
    document = TomlDocument(text, name)
    values = document.values
    faults = [*type_faults(values, inspect.type_info(RulesFile))]
    wrong = [*faults]  # of their types
    calendars: dict[str, WorkingTime] = {}
    faults += calendar_faults(document, wrong, calendars)
    rules: list[Rule] = []
    broken = {*tables(values, "calendar")} - {*calendars}
    around = Around(attributes_of(values), calendars, broken)
    faults += rules_faults(document, wrong, table, around, rules)
    document.refuse(document.named(fault, IDS) for fault in faults)
    return Rules(msgspec.convert(values, RulesFile), rules, calendars)


def tables(values: dict[str, Any], section: str) -> dict[str, Any]:
    """The tables of a section, by name; none where it isn't one."""
    found = values.get(section)
    return found if isinstance(found, dict) else {}


def attributes_of(values: dict[str, Any]) -> dict[str, bool]:
    """{declared attribute: it is a reading}, as far as they can be read."""
    rows = tables(values, "attributes")
    return {
        name: isinstance(row, dict) and row.get("reading") is True for name, row in rows.items()
    }


def calendar_faults(
    document: TomlDocument, wrong: list[Fault], calendars: dict[str, WorkingTime]
) -> Iterator[Fault]:
    """Faults of calendars beyond their types; those without any are put into `calendars`."""
    for key, row in tables(document.values, "calendar").items():
        place = ("calendar", key)
        sound = converted_without(row, CalendarRow, wrong, place)
        if sound is None:
            continue
        at = f"{document.name}:{document.lines.nearest(place)}"
        try:
            calendar = compile_calendar(f"calendar.{key}", at, sound)
        except SettingsError as error:
            yield placed(place, error)
        else:
            if not has_faults(place, wrong):
                calendars[key] = calendar


def rules_faults(
    document: TomlDocument, wrong: list[Fault], table: Lifecycle, around: Around, rules: list[Rule]
) -> Iterator[Fault]:
    """Faults of rules beyond their types; those without any are put into `rules`."""
    found = document.values.get("rule")
    ids: set[str] = set()
    for number, values in enumerate(found if isinstance(found, list) else []):
        place = ("rule", number)
        row = converted_without(values, RuleRow, wrong, place)
        if row is None:
            continue
        if row.id in ids:
            yield Fault((*place, "id"), "this id is there twice; give each rule its own")
        ids.add(row.id)
        faults = [*rule_faults(row, table, around)]
        is_whole = not (has_faults(place, wrong) or calendars_of(row) & around.broken)
        if is_whole and not faults:
            try:
                rules.append(Rule(row, table, around.attributes, around.calendars))
                rules[-1].line = document.lines.nearest(place)
            except SettingsError as error:
                faults = [placed((), error)]
        elif row.when:  # which a whole rule compiles itself
            options = {"of": "when", "carriers": table.carriers}
            faults += attempted((), Condition, row.when, around.attributes, **options)
        for fault in faults:
            yield Fault((*place, *fault.place), fault.text)


def has_faults(place: Place, faults: list[Fault]) -> bool:
    """Return True if a fault lies in the table at `place`."""
    return any(fault.place[: len(place)] == place for fault in faults)


def calendars_of(row: RuleRow) -> set[str]:
    """The calendars that a rule names."""
    return {name for name in (row.calendar, *(each.calendar for each in row.anchors)) if name}


def rule_faults(row: RuleRow, table: Lifecycle, around: Around) -> Iterator[Fault]:
    """Faults of the parts of one rule but its condition, each by itself, by places inside it."""
    for column in ("statuses", "shipment_statuses", "not_shipment_statuses"):
        codes = getattr(row, column) or []
        for number, code in enumerate(codes):
            if code not in table.index and codes != ANY:
                yield Fault((column, number), unknown_status(code, table))
    for column in MILESTONES:
        code = getattr(row, column)
        if code and code not in table.index:
            yield Fault((column,), unknown_status(code, table))
    for code, text in row.pausing.items():
        if code not in table.index:
            yield Fault(("pausing", code), unknown_status(code, table))
        yield from attempted((), duration, text, of=f"pausing.{code}")
    yield from anchor_faults(row, table, around)
    yield from limit_faults(row, around)


def anchor_faults(row: RuleRow, table: Lifecycle, around: Around) -> Iterator[Fault]:
    """Faults of the anchors, and of the limits from them."""
    own = AnchorRow(row.anchor or "", row.after, row.before, row.calendar)
    anchors: list[tuple[Place, AnchorRow]] = [
        (("anchors", number), each) for number, each in enumerate(row.anchors)
    ]
    for place, each in anchors or [((), own)]:
        yield from attempted(place, parse_anchor, each.anchor, table)
        calendar = each.calendar or row.calendar
        if calendar not in around.broken:
            yield from attempted(place, limit, each.after, each.before, calendar, around.calendars)


def limit_faults(row: RuleRow, around: Around) -> Iterator[Fault]:
    """Faults of the other durations of a rule."""
    if row.stale_after:
        yield from attempted((), duration, row.stale_after, of="stale_after")
    yield from attempted((), act, row.action)
    escalate = row.escalate
    if escalate is None:
        return
    if row.calendar not in around.broken:
        limits = (escalate.after, escalate.before, row.calendar, around.calendars)
        yield from attempted(("escalate",), limit, *limits)
    yield from attempted(("escalate",), act, escalate.action)


def attempted(
    place: Place, compiled: Callable[..., object], *args: object, **options: object
) -> Iterator[Fault]:
    """The fault that compiling a part raises; its text begins with the key."""
    try:
        compiled(*args, **options)
    except SettingsError as error:
        yield placed(place, error)


def placed(place: Place, error: SettingsError) -> Fault:
    """An error, whose text begins with a key of the table at `place`, as a fault of that key."""
    key, colon, text = str(error).partition(": ")
    is_key = colon and all(part.isidentifier() for part in key.split("."))
    return Fault((*place, *key.split(".")), text) if is_key else Fault(place, str(error))


def unknown_status(code: str, table: Lifecycle) -> str:
    """Fault of a status that the lifecycle lacks."""
    return f"{NO_STATUS} {code}{maybe_meant(code, table.codes)}"
