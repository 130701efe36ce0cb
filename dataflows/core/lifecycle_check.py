"""Parsing and checks of a lifecycle file: all its faults at once, each with file and line."""

from collections.abc import Iterator
from itertools import chain
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import inspect

from dataflows.core.carrier_names import carrier_faults
from dataflows.core.lifecycle import NO_STATUS, Lifecycle, LifecycleFile, StatusRow
from schemas.errors import SettingsError
from schemas.instants import DAY_MS, parse_duration
from schemas.toml_document import TomlDocument
from schemas.type_faults import Fault, converted_without, maybe_meant, type_faults, without

MAX_STATUSES = 254
IDS = {"status": "code"}  # the key that names a row, by array of tables
WHOLE: tuple[str, ...] = ()  # a fault of the whole table


def parse_lifecycle(text: str, name: str) -> Lifecycle:
    """Compile the text of a lifecycle file; `name` is what errors call it.

    Raises:
        SettingsError: it is no lifecycle, or the table has faults: a line for each.
    """
    document = TomlDocument(text, name)
    faults = [*type_faults(document.values, inspect.type_info(LifecycleFile))]
    if faults:
        faults += further_faults(document.values, faults)
    else:
        file = msgspec.convert(document.values, LifecycleFile)
        faults += chain(check(file.status), top_faults(file))
    document.refuse(document.named(fault, IDS) for fault in faults)
    return Lifecycle(msgspec.convert(document.values, LifecycleFile))


def further_faults(values: dict[str, Any], faults: list[Fault]) -> Iterator[Fault]:
    """Faults of what has the right types, in a file with `faults` of types."""
    top = {**without(values, faults, ()), "status": []}
    if file := converted_without(top, LifecycleFile, (), ()):
        yield from top_faults(file)
    found = values.get("status")
    rows = found if isinstance(found, list) else []
    codes = {str(row["code"]) for row in rows if isinstance(row, dict) and "code" in row}
    sound = {
        number: converted_without(row, StatusRow, faults, ("status", number))
        for number, row in enumerate(rows)
    }
    barred = {row.code for row in sound.values() if row and row.scope == "shipment"}
    for number, row in sound.items():
        if row:
            yield from row_faults(number, row, codes, codes - barred)


def check(rows: list[StatusRow]) -> list[Fault]:
    """The faults of a table; empty if there are none."""
    codes = [row.code for row in rows]
    faults = [
        Fault(("status", number), "this code is there twice")
        for number, code in enumerate(codes)
        if code in codes[:number]
    ]
    if len(rows) > MAX_STATUSES:
        faults.append(Fault(WHOLE, f"{len(rows)} statuses; at most {MAX_STATUSES} are possible"))
    if not any(row.creates for row in rows):
        text = "no status has creates = true, so no order could ever start; set it where orders do"
        faults.append(Fault(WHOLE, text))
    order_codes = {row.code for row in rows if row.scope != "shipment"}
    for number, row in enumerate(rows):
        faults += row_faults(number, row, set(codes), order_codes)
    return faults or [*graph_faults(rows)]


def top_faults(file: LifecycleFile) -> Iterator[Fault]:
    """Faults of the keys at the top of the file, and of its carriers."""
    for name in ("forget_numbers_after", "forget_unused_numbers_after"):
        after_ms, fault = duration_of(getattr(file, name))
        if fault or not after_ms or after_ms % DAY_MS:
            # Numbers are kept by days.
            text = f"{getattr(file, name)} is not a number of days; write one such as 180d"
            yield Fault((name,), fault or text)
    for name in ("number_shared_within", "second_life_after"):
        fault = duration_of(getattr(file, name))[1]
        if fault:
            yield Fault((name,), fault)
    for text in carrier_faults(file.carriers):
        yield Fault(("carriers",), text.removeprefix("carriers: "))
    try:
        ZoneInfo(file.zone)
    except (ValueError, OSError, KeyError):
        text = f"{file.zone!r} is no time zone; name one such as Europe/Berlin"
        yield Fault(("zone",), text)


def duration_of(text: str | None) -> tuple[int, str]:
    """(ms of a duration, its fault); 0 without one."""
    try:
        return (parse_duration(text) if text else 0), ""
    except SettingsError as error:
        return 0, str(error).removeprefix("duration: ")


def row_faults(
    number: int, row: StatusRow, codes: set[str], order_codes: set[str]
) -> Iterator[Fault]:
    """Faults of one row by itself; `number` is its place in the file."""
    found = chain(
        unknown_codes(row, codes),
        move_faults(row, codes - order_codes),
        scope_faults(row),
        end_faults(row),
    )
    for column, text in found:
        yield Fault(("status", number, *column.split(".")), text)
    for language in ("en", "zh"):
        if not row.label.get(language):
            yield Fault(("status", number, "label"), f"{language} is missing; write a text")


def unknown_codes(row: StatusRow, codes: set[str]) -> Iterator[tuple[str, str]]:
    """(column, problem) of each code that is no status of the table."""
    moves = row.moves_order
    columns = {
        "next": row.next,
        "irregular": row.irregular,
        "moves_order.status": [moves.status] if moves else [],
        "moves_order.until_all": [moves.until_all] if moves and moves.until_all else [],
        "ends_with": row.ends_with,
        "withdraws": row.withdraws,
        "regular_after": row.regular_after,
        "open_until": row.open_until,
        "arrives_back": [row.arrives_back] if row.arrives_back else [],
    }
    for column, named in columns.items():
        for code in named:
            if code not in codes:
                yield column, f"{code} is not in the table{maybe_meant(code, codes)}"


def move_faults(row: StatusRow, parcel_codes: set[str]) -> Iterator[tuple[str, str]]:
    """(column, problem) of what a parcel's status does to its order."""
    moves = row.moves_order
    if moves is None:
        return
    for code in moves.targets:
        if code in parcel_codes:
            yield "moves_order", f"{code} is no status of orders; name one, or change its scope"
    if moves.when == "any" and moves.until_all:
        yield "moves_order", 'until_all goes with when = "all" only; change one of them'


def scope_faults(row: StatusRow) -> Iterator[tuple[str, str]]:
    """(column, problem) of each column that the row's scope doesn't have."""
    for column, is_set, scopes in (
        ("ends_parcel", row.ends_parcel, "shipment or both"),
        ("turns", row.turns, "shipment or both"),
        ("milestone", row.milestone, "order or both"),
        ("withdraws", row.withdraws, "order or both"),
    ):
        if is_set and row.scope not in scopes:
            yield column, f"it goes with scope = {scopes} only; take it out, or change the scope"
    if row.creates and row.scope == "shipment":
        yield "creates", "only a status of orders can have it; take it out, or change the scope"


def end_faults(row: StatusRow) -> Iterator[tuple[str, str]]:
    """(column, problem) of when an order is retired."""
    if row.retire_after and not row.ends:
        text = "without ends it would drop an order that is under way; set ends = true"
        yield "retire_after", text
    fault = duration_of(row.retire_after)[1]
    if fault:
        yield "retire_after", fault


def graph_faults(rows: list[StatusRow]) -> Iterator[Fault]:
    """States that can't be reached, and states from which no end can be reached."""
    table = Lifecycle(LifecycleFile(1, "", rows))
    apart = {i for i, row in enumerate(rows) if row.milestone or row.note}
    orders = [i for i, row in enumerate(rows) if row.scope != "shipment" and i not in apart]
    reached = {i for i in orders if table.creates[i]}
    moves = [row.moves_order for row in rows if row.moves_order]
    reached |= {table.index[code] for move in moves for code in move.targets}
    reached |= {status for status in table.arrives_back if status != NO_STATUS}
    reached |= {i for start in reached for i in table.order_ways.every[start]}
    for i in orders:
        if i not in reached:
            yield Fault(("status", i), "it can't be reached; name it under next of another status")
    ends = {i for i, row in enumerate(rows) if row.ends}
    for i in range(len(rows)):
        onward = table.order_ways.every[i] | table.shipment_ways.every[i]
        if i not in ends | apart and not table.moves_nothing[i] and not ends & onward:
            yield Fault(("status", i), "it has no way to an end; complete its next, or set ends")
