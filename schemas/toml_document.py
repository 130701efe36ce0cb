"""A TOML file: read, parsed, and its faults located, each as `file:line: problem; remedy`."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from schemas.display import printable
from schemas.errors import SettingsError
from schemas.os_faults import os_fault_text
from schemas.toml_faults import toml_fault
from schemas.toml_lines import Lines
from schemas.type_faults import Fault

AT = re.compile(r" \(at line (\d+), column (\d+)\)$")
AT_END = " (at end of document)"


def read_text(path: Path) -> str:
    """Content of a file.

    Raises:
        SettingsError: it can't be read, or is no text in UTF-8.
    """
    try:
        return path.read_text("utf-8")
    except OSError as error:
        problem = os_fault_text(error) or f"{path}: {error.strerror}"
        raise SettingsError(problem) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise SettingsError(f"{path}:{line}: no text in UTF-8; save it as UTF-8") from error


class TomlDocument:
    """A document; `name` is the file in errors, `values` its content."""

    def __init__(self, text: str, name: str) -> None:
        """Read `text`.

        Raises:
            SettingsError: it is no TOML; with file and line.
        """
        self.name = name
        self.text = text
        try:
            self.values: dict[str, Any] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(self._syntax(str(error))) from error
        except (ValueError, RecursionError) as error:  # a number of 4,301 digits, 1,000 lists
            problem = "a number has too many digits, or lists and tables are nested too deeply"
            raise SettingsError(f"{name}: no TOML, {problem}; correct it") from error

    @cached_property
    def lines(self) -> Lines:
        """Lines of its places."""
        return Lines(self.text)

    def located(self, fault: Fault) -> str:
        """A fault with file and line."""
        return f"{self.name}:{self.lines.nearest(fault.place)}: {fault.text}"

    def named(self, fault: Fault, ids: Mapping[str, str]) -> Fault:
        """A fault whose text begins with its row and key: `rule late: after: …`.

        `ids`: the key that names a row, by array of tables.
        """
        place, words = fault.place, []
        section = str(place[0]) if place else ""
        if section in ids and len(place) > 1 and isinstance(place[1], int):
            row = self.values[section][place[1]]
            name = row.get(ids[section]) if isinstance(row, dict) else None
            words.append(f"{section} {printable(str(name or place[1] + 1))}")
            place = place[2:]
        if keys := ".".join(part for part in place if isinstance(part, str)):
            words.append(printable(keys))
        return Fault(fault.place, ": ".join([*words, fault.text]))

    def refuse(self, faults: Iterable[Fault]) -> None:
        """Raise all faults, by line; return without any.

        Raises:
            SettingsError: a line for each.
        """
        ranked = sorted(faults, key=lambda fault: self.lines.nearest(fault.place))
        if lines := dict.fromkeys(self.located(fault) for fault in ranked):
            raise SettingsError("\n".join(lines))

    def _syntax(self, reason: str) -> str:
        found = AT.search(reason)
        if found:
            fault = toml_fault(reason[: found.start()])
            return f"{self.name}:{found[1]}: no TOML at column {found[2]}: {fault}"
        last = self.text.count("\n") + 1
        return f"{self.name}:{last}: no TOML at the end: {toml_fault(reason.removesuffix(AT_END))}"
