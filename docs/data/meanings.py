"""Meanings of the page docs/data.md, from meanings.toml.

A name without a meaning is refused, and so is a meaning without a name.
"""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

MEANINGS = Path(__file__).with_name("meanings.toml")


class Meanings:
    """The meanings, by path. Each has to be taken, and each that is taken has to be there."""

    def __init__(self, text: str) -> None:
        """Create it of the content of meanings.toml."""
        self.content: dict[str, Any] = tomllib.loads(text)
        self.taken: set[tuple[str, ...]] = set()

    def get(self, *path: str) -> str | None:
        """The text at a path; None without one."""
        found: Any = self.content
        for part in path:
            if not isinstance(found, dict) or part not in found:
                return None
            found = found[part]
        self.taken.add(path)
        return str(found)

    def take(self, *path: str) -> str:
        """The text at a path.

        Raises:
            LookupError: there is none.
        """
        found = self.get(*path)
        if found is None:
            raise LookupError(f"{MEANINGS.name}: no meaning of {' '.join(path)}; write one")
        return found

    def left(self) -> list[str]:
        """The paths that nothing has asked for."""
        paths = set(leaves(self.content, ()))
        return sorted(" ".join(path) for path in paths - self.taken)


def leaves(content: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The paths of all texts."""
    for name, value in content.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, name))
        else:
            yield (*path, name)
