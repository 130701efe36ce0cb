"""Checks of settings: all faults are reported at once, so that one edit corrects a file."""

import difflib
from collections.abc import Iterator
from typing import Any

import msgspec

from schemas.settings.keys import Key
from schemas.settings.kinds import fault_of
from schemas.settings.secrets import has_password, is_secret
from schemas.settings.sources import Given, KeyPath, Keys, Values


def findings(values: Values, keys: Keys) -> Iterator[str]:
    """Each fault as a sentence: unknown keys, wrong types, wrong texts, secrets in the file."""
    for place, given in values.items():
        key = key_at(place, keys)
        if key is None:
            yield unknown(place, given, keys)
            continue
        if given.origin == "file":
            yield from secrets_in(place, given.value, key)
        yield from faults_of_value(place, given, key)


def key_at(place: KeyPath, keys: Keys) -> Key | None:
    """The key that a place belongs to; None if there is none."""
    return keys.get(place[0], {}).get(place[1]) if len(place) > 1 else None


def unknown(place: KeyPath, given: Given, keys: Keys) -> str:
    """An unknown section or key, with what may have been meant."""
    if place[0] in keys and len(place) == 1:
        return f"{place[0]} is a section; write [{place[0]}] and its keys under it"
    at = f" - at `$.{place[0]}`" if len(place) > 1 else ""
    what = "key" if len(place) > 1 else "section"
    return f"unknown {what} `{place[-1]}`{at}{source(given)}{suggestion(place, keys)}"


def suggestion(place: KeyPath, keys: Keys) -> str:
    """`; did you mean KEY?`: from the same section, else any; nothing if nothing is close."""
    known = [*keys[place[0]]] if len(place) > 1 else [*keys]
    anywhere = [*keys, *(name for section in keys.values() for name in section)]
    for names in (known, anywhere):
        if close := difflib.get_close_matches(place[-1], names, n=1):
            return f"; did you mean {close[0]}?"
    return ""


def source(given: Given) -> str:
    """` (ORDERTIDE_TRACK_WORKER)` where a variable set it; the file is named anyway."""
    return "" if given.origin == "file" else f" ({given.origin})"


def faults_of_value(place: KeyPath, given: Given, key: Key) -> Iterator[str]:
    """The value's type, then what its text means."""
    is_entry = len(place) > 2  # noqa: PLR2004 - section, key, entry of a table
    value = {place[2]: given.value} if is_entry else given.value
    try:
        msgspec.convert(value, key.annotation, strict=False)
    except msgspec.ValidationError as error:
        # msgspec never quotes a secret in its messages: types and limits only. An unknown variant
        # would be quoted, and no secret has variants.
        yield f"$.{'.'.join(place)}{source(given)}: {str(error).partition(' - at ')[0]}"
        return
    if isinstance(given.value, str) and (fault := fault_of(key.kind, given.value)):
        shown = "is not usable" if has_password(given.value) else fault
        yield f"{'.'.join(place)}{source(given)}: {shown}"


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
