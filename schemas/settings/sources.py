"""Sources of settings: a TOML file, the environment, and files that the environment names.

`ORDERTIDE_TRACK_CLOCK=recorded` sets `clock` under `[track]`. Any key may be given as a file that
holds the value, as orchestrators hand out secrets: `ORDERTIDE_HOT_PASSWORD_FILE=/run/secrets/hot`.
An entry of a table has its dots as underscores: `ORDERTIDE_BROKER_PROPERTIES_SASL_PASSWORD` is
`sasl.password` under `[broker.properties]`. Lists and whole tables are JSON.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from schemas.errors import SettingsError
from schemas.json_faults import json_fault
from schemas.settings.keys import PREFIX, Key
from schemas.toml_document import TomlDocument, read_text
from schemas.toml_lines import Lines

FILE_END = "_file"

# (section,), (section, key) or (section, key, entry of a table).
KeyPath = tuple[str, ...]
Keys = Mapping[str, Mapping[str, Key]]


class Given(NamedTuple):
    """A value that is set. `origin` is `file`, or the name of an environment variable.

    `line` is that of the file; 0 for a variable.
    """

    value: Any
    origin: str
    line: int = 0


Values = dict[KeyPath, Given]


def from_file(path: Path, keys: Keys) -> Values:
    """Read the settings in a TOML file.

    Raises:
        SettingsError: it can't be read, or is no TOML.
    """
    document = TomlDocument(read_text(path), str(path))
    return {
        place: Given(value, "file", line_of(place, document.lines))
        for place, value in places_in(document.values, keys)
    }


def line_of(place: KeyPath, lines: Lines) -> int:
    """Line of a setting; an entry such as `sasl.mechanism` is a table in a table without quotes."""
    return lines.get(place) or lines.nearest([part for name in place for part in name.split(".")])


def places_in(read: dict[str, Any], keys: Keys) -> Iterator[tuple[KeyPath, Any]]:
    """Each value with its place; a section that is no table stands for itself."""
    for section, table in read.items():
        if not isinstance(table, dict) or section not in keys:
            yield (section,), table
            continue
        for name, value in table.items():
            key = keys[section].get(name)
            if key and key.shape == "table" and isinstance(value, dict):
                yield from (((section, name, entry), held) for entry, held in entries_in(value))
            else:
                yield (section, name), value


def entries_in(table: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """A table's entries by dotted names: `sasl.mechanism = …` without quotes nests in TOML."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from entries_in(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def from_environment(environment: Mapping[str, str], keys: Keys) -> Values:
    """Read the settings in the environment; variables of an unknown section are ignored.

    Raises:
        SettingsError: a file that a variable names can't be read, JSON that is none, or a value
            given both directly and as a file.
    """
    values: Values = {}
    for variable, text in sorted(environment.items()):
        section = section_of(variable, keys)
        if section is None:
            continue
        name = variable[len(PREFIX) + len(section) + 1 :].lower()
        place, is_file = place_of(section, name, keys[section])
        if place in values:
            raise SettingsError(f"{variable} and {values[place].origin} are both set; unset one")
        held = read_held(variable, Path(text)) if is_file else text
        values.update(decoded(place, Given(held, variable), keys))
    return values


def section_of(variable: str, keys: Keys) -> str | None:
    """The section that a variable belongs to; None if to none."""
    return next((s for s in keys if variable.startswith(f"{PREFIX}{s.upper()}_")), None)


def place_of(section: str, name: str, keys: Mapping[str, Key]) -> tuple[KeyPath, bool]:
    """The place that a variable's name means, and whether the value is the name of a file.

    An unknown name gets a place of its own, which is found out later like one in the file.
    """
    if name in keys:
        return (section, name), False
    if name.endswith(FILE_END):
        place, _ = place_of(section, name.removesuffix(FILE_END), keys)
        is_known = place[1] in keys
        return (place, True) if is_known else ((section, name), False)
    for key in keys.values():
        if key.shape == "table" and name.startswith(f"{key.name}_"):
            return (section, key.name, name[len(key.name) + 1 :].replace("_", ".")), False
    return (section, name), False


def read_held(variable: str, path: Path) -> str:
    """The value in a file, without the line's end that editors add.

    Raises:
        SettingsError: it can't be read.
    """
    try:
        return read_text(path).rstrip("\r\n")
    except SettingsError as error:
        raise SettingsError(f"{variable} names the file with the value: {error}") from error


def decoded(place: KeyPath, given: Given, keys: Keys) -> Values:
    """The value as it is meant: JSON for lists and tables, a table's entries one by one.

    Raises:
        SettingsError: no JSON.
    """
    key = keys[place[0]].get(place[1])
    if key is None or len(place) > 2 or key.shape == "plain":  # noqa: PLR2004 - an entry of a table
        return {place: given}
    try:
        value = msgspec.json.decode(given.value)
    except msgspec.DecodeError as error:
        fault = json_fault(error, given.value)
        raise SettingsError(f"{given.origin}: {fault}; write the value as JSON") from error
    if key.shape == "table" and isinstance(value, dict):
        return {(*place, entry): Given(held, given.origin) for entry, held in value.items()}
    return {place: Given(value, given.origin)}


def nested(values: Values) -> dict[str, Any]:
    """The values as sections, the way that structs are made from them."""
    tables: dict[str, Any] = {}
    for place, given in values.items():
        inner = tables
        for name in place[:-1]:
            inner = inner.setdefault(name, {})
        inner[place[-1]] = given.value
    return tables
