"""Checks of settings: all faults are reported at once, so that one edit corrects a file."""

import difflib
from collections.abc import Iterator
from typing import Any, NamedTuple

from msgspec import inspect

from schemas.settings.keys import Key
from schemas.settings.kinds import fault_of
from schemas.settings.secrets import has_password, is_secret
from schemas.settings.sources import Given, KeyPath, Keys, Values
from schemas.type_faults import maybe_meant, meant, type_faults, wanted

ELSEWHERE = 0.8  # likeness of a key of another section


class Finding(NamedTuple):
    """A fault of a setting, with the place of the value."""

    place: KeyPath
    text: str


def findings(values: Values, keys: Keys) -> Iterator[Finding]:
    """Each fault: unknown keys, wrong types, wrong texts, secrets in the file."""
    for place, given in values.items():
        key = key_at(place, keys)
        if key is None:
            yield Finding(place, unknown(place, keys))
            continue
        if given.origin == "file":
            yield from (Finding(place, text) for text in secrets_in(place, given.value, key))
        yield from (Finding(place, text) for text in faults_of_value(place, given, key))


def key_at(place: KeyPath, keys: Keys) -> Key | None:
    """The key that a place belongs to; None if there is none."""
    return keys.get(place[0], {}).get(place[1]) if len(place) > 1 else None


def unknown(place: KeyPath, keys: Keys) -> str:
    """An unknown section or key, with what may have been meant."""
    if place[0] in keys and len(place) == 1:
        return f"{place[0]} is a section; write [{place[0]}] and its keys under it"
    what = "key" if len(place) > 1 else "section"
    return f"{'.'.join(place)}: unknown {what}; {suggestion(place, keys)}"


def suggestion(place: KeyPath, keys: Keys) -> str:
    """`did you mean KEY?`: of the same section, else of any; else all that are known."""
    known = [*keys[place[0]]] if len(place) > 1 else [*keys]
    elsewhere = {name: f"{section}.{name}" for section in keys for name in keys[section]}
    close = difflib.get_close_matches(place[-1], elsewhere, n=1, cutoff=ELSEWHERE)
    if close and not maybe_meant(place[-1], known):
        return f"did you mean {elsewhere[close[0]]}?"
    return meant(place[-1], known)


def faults_of_value(place: KeyPath, given: Given, key: Key) -> Iterator[str]:
    """Faults of the value's type, then of the meaning of its text."""
    is_entry = len(place) > 2  # noqa: PLR2004 - section, key, entry of a table
    name = ".".join(place)
    value = {place[2]: given.value} if is_entry else given.value
    kind = inspect.type_info(key.annotation)
    wrong = [*type_faults(value, kind, (), lenient=given.origin != "file")]
    for fault in wrong:
        inner = "" if is_entry else "".join(f".{part}" for part in fault.place)
        # A secret is never quoted.
        text = f"it is of the wrong type; {wanted(kind)}" if is_secret(name) else fault.text
        yield f"{name}{inner}: {text}"
    if not wrong and isinstance(given.value, str) and (problem := fault_of(key.kind, given.value)):
        yield f"{name}: {'is not usable' if has_password(given.value) else problem}"


def secrets_in(place: KeyPath, value: Any, key: Key) -> Iterator[str]:  # noqa: ANN401 - any TOML value
    """Secrets that stand in the file, however deep."""
    name = ".".join(place)
    if isinstance(value, dict):
        for entry, held in value.items():
            yield from secrets_in((*place, str(entry)), held, key)
    elif isinstance(value, list):
        for held in value:
            yield from secrets_in(place, held, key)
    elif is_secret(name):
        yield f"{name}: a secret may not stand in the file; {way_out(place, key)}"
    elif isinstance(value, str) and has_password(value):
        yield (
            f"{name}: the text holds a password, which may not stand in the file; "
            f"take it out, or {way_out(place, key)}"
        )


def way_out(place: KeyPath, key: Key) -> str:
    """Which variables take the secret instead."""
    is_entry = key.shape == "table"
    entry = "".join(f"_{part}" for part in place[2:]).replace(".", "_") if is_entry else ""
    variable = f"{key.variable}{entry}".upper()
    return f"set {variable}, or {variable}_FILE to a file that holds it"
