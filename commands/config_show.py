"""The effective settings, as `ordertide config show` prints them."""

from collections.abc import Iterator, Sequence
from typing import Any

from schemas.settings.keys import Key
from schemas.settings.model import KEYS, Sourced
from schemas.settings.page import toml_value
from schemas.settings.secrets import MASK, is_secret, masked
from schemas.settings.sources import KeyPath

COLUMN = 48


def effective_settings(sourced: Sourced) -> str:
    """TOML that can be read again: secrets and what is not set are comments in it."""
    return "\n".join(
        "\n".join([f"[{section}]", *section_lines(section, sourced)]) + "\n" for section in KEYS
    )


def section_lines(section: str, sourced: Sourced) -> Iterator[str]:
    """A line per key, and one for each secret in a table."""
    for key in KEYS[section].values():
        value = getattr(getattr(sourced.settings, section), key.name)
        secrets = secret_entries(key, value)
        for entry in secrets:
            line = f"# {key.name}.{entry} is set and secret"
            yield beside(line, origin_of((section, key.name, entry), sourced))
        if secrets:
            value = {name: held for name, held in value.items() if name not in secrets}
        yield beside(written(key, value), origin_of((section, key.name), sourced, but=secrets))


def secret_entries(key: Key, value: Any) -> list[str]:  # noqa: ANN401 - whatever a setting can hold
    """The names of a table's entries that are secret."""
    entries = value if key.shape == "table" and isinstance(value, dict) else {}
    return [name for name in entries if is_secret(f"{key.path}.{name}")]


def written(key: Key, value: Any) -> str:  # noqa: ANN401 - whatever a setting can hold
    """`key = value`; as a comment where it can't be read back."""
    if value is None:
        return f"# {key.name} is not set"
    if is_secret(key.path):
        return f"# {key.name} is set and secret"
    line = f"{key.name} = {toml_value(masked(key.path, value))}"
    return f"# {line}" if MASK in line else line


def origin_of(place: KeyPath, sourced: Sourced, but: Sequence[str] = ()) -> str:
    """`default`, `file`, the variable; for a table all that set entries of it, `but` some."""
    origins = {
        given.origin
        for at, given in sourced.values.items()
        if at[: len(place)] == place and at[-1] not in but
    }
    return ", ".join(sorted(origins)) or "default"


def beside(line: str, origin: str) -> str:
    """The line with its origin in a column beside it."""
    return f"{line:<{COLUMN}}  # {origin}"
