"""Lines of a TOML document: where each table, key and element of it stands.

tomllib gives values without their lines. What is scanned here has been read by it, so the scan
follows the grammar without checking it: keys, headers, and the ends of texts, arrays and tables.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence

from schemas.type_faults import Place

BLANK = re.compile(r"(?:[ \t\r\n,]|#[^\n]*)*")
PART = re.compile(r"""[ \t]*("(?:\\.|[^"\\\n])*"|'[^'\n]*'|[A-Za-z0-9_-]+)[ \t]*(\.?)""")
TEXT = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}(?!")' + r"|'''.*?'{3,5}(?!')" + r'|"(?:\\.|[^"\\])*"' + r"|'[^']*'",
    re.DOTALL,
)
BARE = re.compile(r"[^,\]}#\n]+")


class Lines(Mapping[Place, int]):
    """Line of each place in a document, which is valid TOML."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Place, int] = {}
        self.arrays: dict[Place, int] = {}  # arrays of tables: their last element
        self._scan()

    def __getitem__(self, place: Place) -> int:
        return self.lines[place]

    def __iter__(self) -> Iterator[Place]:
        return iter(self.lines)

    def __len__(self) -> int:
        return len(self.lines)

    def nearest(self, place: Sequence[str | int]) -> int:
        """Line of a place, else of the innermost table around it that has one; else 1."""
        inner = tuple(place)
        while inner and inner not in self.lines:
            inner = inner[:-1]
        return self.lines.get(inner, 1)

    def _scan(self) -> None:
        table: Place = ()
        while self._skip_blank():
            if self.text.startswith("[", self.at):
                table = self._header()
            else:
                self._assignment(table)

    def _header(self) -> Place:
        is_array = self.text.startswith("[[", self.at)
        start = self.at
        self.at += 2 if is_array else 1
        names = self._key()
        self.at += 2 if is_array else 1
        place = self._inside((), names[:-1])
        place = (*place, names[-1])
        if is_array:
            self._note(place, start)
            self.arrays[place] = self.arrays.get(place, -1) + 1
            place = (*place, self.arrays[place])
        else:
            place = self._inside(place[:-1], place[-1:])
        self._note(place, start)
        return place

    def _inside(self, place: Place, names: Sequence[str | int]) -> Place:
        """A place in a table; of an array of tables the last element is meant."""
        for name in names:
            place = (*place, name)
            if place in self.arrays:
                place = (*place, self.arrays[place])
        return place

    def _assignment(self, table: Place) -> None:
        start = self.at
        place = table
        for name in self._key():
            place = (*place, name)
            self._note(place, start)
        self.at = self.text.index("=", self.at) + 1
        self._value(place)

    def _value(self, place: Place) -> None:
        self._skip_blank()
        if found := TEXT.match(self.text, self.at):
            self.at = found.end()
        elif self.text[self.at] == "[":
            self._within("]", place)
        elif self.text[self.at] == "{":
            self._within("}", place)
        elif found := BARE.match(self.text, self.at):
            self.at = found.end()

    def _within(self, end: str, place: Place) -> None:
        """An array, or a table written inline."""
        self.at += 1
        number = 0
        while self._skip_blank() and self.text[self.at] != end:
            if end == "}":
                self._assignment(place)
                continue
            self._note((*place, number), self.at)
            self._value((*place, number))
            number += 1
        self.at += 1

    def _key(self) -> list[str]:
        names = []
        while found := PART.match(self.text, self.at):
            self.at = found.end()
            name = found[1]
            names.append(
                str(*tomllib.loads(f"key = {name}").values()) if name[0] in "\"'" else name
            )
            if not found[2]:
                break
        return names

    def _skip_blank(self) -> bool:
        """Skip spaces, commas and comments; False at the end of the document."""
        found = BLANK.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return self.at < len(self.text)

    def _note(self, place: Place, at: int) -> None:
        self.lines.setdefault(place, self.text.count("\n", 0, at) + 1)
