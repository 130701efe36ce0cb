"""Lines of a rules file: where the rule, calendar or attribute stands that an error names."""

import re
import tomllib
from typing import Any

import msgspec

from dataflows.core.rules_file import AttributeRow, CalendarRow

ROWS: dict[str, type[msgspec.Struct]] = {"calendar": CalendarRow, "attributes": AttributeRow}
ARRAY = "[["


def where(name: str, text: str, reason: str) -> str:
    """`file:line: rule id: reason` for msgspec's `reason - at $.rule[3].severity`.

    The same for `$.calendar[...]` and `$.attributes[...]`, whose names msgspec leaves out.
    """
    data = tomllib.loads(text)
    found = re.search(r"\$\.rule\[(\d+)\]", reason)
    if found:
        number = int(found[1])
        row = data["rule"][number]
        label = row.get("id", number + 1) if isinstance(row, dict) else number + 1
        return f"{name}:{rule_line(text, number)}: rule {label}: {reason}"
    for section, kind in ROWS.items():
        key = first_bad(data.get(section), kind) if f"$.{section}[" in reason else None
        if key is not None:
            return f"{name}:{table_line(text, section, key)}: {section}.{key}: {reason}"
    return f"{name}: {reason}"


def first_bad(rows: Any, kind: type[msgspec.Struct]) -> str | None:  # noqa: ANN401 - any TOML
    """The key of the first row that is none of `kind`."""
    for key, row in rows.items() if isinstance(rows, dict) else ():
        try:
            msgspec.convert(row, kind)
        except msgspec.ValidationError:
            return str(key)
    return None


def rule_line(text: str, number: int) -> int:
    """The line of the `[[rule]]` with this number (from 0)."""
    lines = [
        i for i, line in enumerate(text.splitlines(), 1) if line.strip().startswith("[[rule]]")
    ]
    return lines[number] if number < len(lines) else 1


def table_line(text: str, section: str, key: str) -> int:
    """The line of the table `[section.key]`, or of the key that is its first; 1 without either."""
    table: list[str] = []
    path: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.lstrip().startswith(ARRAY):
            table, path = [ARRAY], []
        elif line.lstrip().startswith("["):
            path = path_of(line)
            table = path or table
        else:
            path = path_of(f"{line.partition('=')[0]}= 0")
            path = [*table, *path] if path else []
        if path[:2] == [section, key]:
            return number
    return 1


def path_of(line: str) -> list[str]:
    """The dotted key of a header or of an assignment; empty for anything else."""
    try:
        value: Any = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return []
    path = []
    while isinstance(value, dict) and value:
        key, value = next(iter(value.items()))
        path.append(key)
    return path
