"""Faults of a value read from a file: each difference from a type, in words, with its place.

msgspec stops at the first fault and words it for programmers; here all are found, with the allowed
values and what may have been meant.
"""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import inspect

# Names of tables and keys, numbers of elements: ("rule", 2, "when").
Place = tuple[str | int, ...]
Struct = TypeVar("Struct", bound=msgspec.Struct)
Part = tuple[str | int, object, inspect.Type]

TABLE = "write a table, like {name = value}"
LIST = "write a list, in [ ]"
NOUNS: dict[type[inspect.Type], str] = {
    inspect.BoolType: "yes or no",
    inspect.IntType: "whole number",
    inspect.FloatType: "number",
    inspect.StrType: "text",
    inspect.DictType: "table",
    inspect.ListType: "list",
    inspect.VarTupleType: "list",
    inspect.TupleType: "list of this length",
}
KINDS: dict[type[inspect.Type], type | tuple[type, ...]] = {
    inspect.BoolType: bool,
    inspect.IntType: int,
    inspect.FloatType: (int, float),
    inspect.StrType: str,
}
REMEDIES: dict[type[inspect.Type], str] = {
    inspect.BoolType: "write true or false",
    inspect.StrType: "write a text, in quotes",
    inspect.DictType: TABLE,
    inspect.StructType: TABLE,
    inspect.ListType: LIST,
    inspect.VarTupleType: LIST,
}
MAX_SHOWN = 60  # characters of a value
BOOLS = {"true", "false", "1", "0"}


class Fault(NamedTuple):
    """One fault: the place of the value in its document, and the problem with the remedy."""

    place: Place
    text: str


def type_faults(
    value: object, described: inspect.Type, place: Place = (), *, lenient: bool = False
) -> Iterator[Fault]:
    """Each fault of `value` as one of the type `described`; see `msgspec.inspect.type_info`.

    `lenient`: texts are taken for numbers and yes-or-no, as the environment gives them.
    """
    match described:
        case inspect.Metadata(type=inner):
            yield from type_faults(value, inner, place, lenient=lenient)
        case inspect.UnionType():
            found = [
                [*type_faults(value, kind, place, lenient=lenient)] for kind in present(described)
            ]
            if all(found):
                yield from found[0]
        case inspect.StructType():
            yield from struct_faults(value, described, place, lenient=lenient)
        case inspect.LiteralType(values=values):
            if not any(value == each and type(value) is type(each) for each in values):
                yield Fault(place, f"{shown(value)} is none; {choice(value, values)}")
        case inspect.DictType() | inspect.ListType() | inspect.VarTupleType() | inspect.TupleType():
            parts = parts_of(value, described)
            if parts is None:
                problem = f"is no {NOUNS[type(described)]}"
                yield Fault(place, f"{shown(value)} {problem}; {wanted(described)}")
            for name, part, kind in parts or ():
                yield from type_faults(part, kind, (*place, name), lenient=lenient)
        case _:
            yield from plain_faults(value, described, place, lenient=lenient)


def present(described: inspect.UnionType) -> list[inspect.Type]:
    """The kinds of a union but null, which files can't hold."""
    return [kind for kind in described.types if not isinstance(kind, inspect.NoneType)]


def parts_of(value: object, described: inspect.Type) -> list[Part] | None:
    """Parts of a table or list, each with its type; None if the value is none of these."""
    match described, value:
        case inspect.DictType(value_type=kind), dict():
            return [(str(name), part, kind) for name, part in value.items()]
        case inspect.ListType(item_type=kind) | inspect.VarTupleType(item_type=kind), list():
            return [(number, part, kind) for number, part in enumerate(value)]
        case inspect.TupleType(item_types=kinds), list() if len(value) == len(kinds):
            return [(n, *pair) for n, pair in enumerate(zip(value, kinds, strict=True))]
    return None


def struct_faults(
    value: object, described: inspect.StructType, place: Place, *, lenient: bool
) -> Iterator[Fault]:
    """Unknown keys, missing keys, and the faults of the others."""
    if not isinstance(value, dict):
        yield Fault(place, f"{shown(value)} is no table; {TABLE}")
        return
    fields = {field.encode_name: field.type for field in described.fields}
    for name in value:
        if name not in fields:
            yield Fault((*place, name), f"unknown key; {meant(name, fields)}")
    for field in described.fields:
        if field.required and field.encode_name not in value:
            yield Fault(place, f"{field.encode_name} is missing; {wanted(field.type)}")
    for name, kind in fields.items():
        if name in value:
            yield from type_faults(value[name], kind, (*place, name), lenient=lenient)


def plain_faults(
    value: object, described: inspect.Type, place: Place, *, lenient: bool
) -> Iterator[Fault]:
    """A number, text, or true or false: of the wrong type, or outside its limits."""
    taken = converted(value, described) if lenient else value
    kinds = KINDS.get(type(described))
    if kinds is None:
        return
    is_right = isinstance(taken, kinds) and isinstance(taken, bool) == (kinds is bool)
    if not is_right:
        noun = NOUNS[type(described)]
        yield Fault(place, f"{shown(value)} is no {noun}; {wanted(described)}")
    elif isinstance(described, inspect.StrType):
        if described.min_length and not taken:
            yield Fault(place, "it is empty; write a text, or leave the key out")
    elif isinstance(taken, int | float) and not is_within(taken, described):
        yield Fault(place, f"{shown(value)} is out of range; {wanted(described)}")


def converted(value: object, described: inspect.Type) -> object:
    """A text as the number, or the true or false, that it writes; else the value itself."""
    if not isinstance(value, str):
        return value
    try:
        if isinstance(described, inspect.BoolType) and value.lower() in BOOLS:
            return value.lower() in {"true", "1"}
        if isinstance(described, inspect.IntType):
            return int(value)
        if isinstance(described, inspect.FloatType):
            return float(value)
    except ValueError:
        return value
    return value


def is_within(value: float, described: inspect.Type) -> bool:
    """Return True for a number inside the limits of its type."""
    if not isinstance(described, inspect.IntType | inspect.FloatType):
        return True
    low, high = described.ge, described.le
    return (low is None or value >= low) and (high is None or value <= high)


def wanted(described: inspect.Type) -> str:
    """Remedy: the value to write."""
    match described:
        case inspect.Metadata(type=inner):
            return wanted(inner)
        case inspect.UnionType():
            return wanted(present(described)[0])
        case inspect.LiteralType(values=values):
            return choice(None, values)
        case inspect.TupleType(item_types=kinds):
            return f"write a list of {len(kinds)}, in [ ]"
        case inspect.IntType() | inspect.FloatType():
            return f"write {'one' if within(described) else 'a number'}{within(described)}"
    return REMEDIES[type(described)]


def within(described: inspect.IntType | inspect.FloatType) -> str:
    """` from 1 to 16`: limits of a number, empty without any."""
    low, high = described.ge, described.le
    if low is not None and high is not None:
        return f" from {low} to {high}"
    if low is not None:
        return f" of at least {low}"
    return f" of at most {high}" if high is not None else ""


def choice(value: object, values: Sequence[object]) -> str:
    """Remedy: one of some values, with the one that may have been meant."""
    names = [str(each) for each in values]
    if len(names) == 1:
        return f"write {shown(values[0])}"
    hint = "" if value is None else maybe_meant(str(value), names)
    return f"choose one of {', '.join(names)}{hint}"


def meant(name: str, known: Iterable[str]) -> str:
    """`did you mean KNOWN?`, else all that are known."""
    names = [*known]
    return maybe_meant(name, names).removeprefix("; ") or f"known: {', '.join(names)}"


def without(value: Any, faults: Iterable[Fault], place: Place) -> Any:  # noqa: ANN401 - any TOML
    """A table at `place` without its keys that have faults; anything else as it is."""
    if not isinstance(value, dict):
        return value
    size = len(place)
    bad = {each.place[size] for each in faults if each.place[:size] == place != each.place}
    return {name: held for name, held in value.items() if name not in bad}


def converted_without(
    value: object, kind: type[Struct], faults: Iterable[Fault], place: Place
) -> Struct | None:
    """A table at `place` as a struct, its keys with faults left out; None if it can't be one."""
    try:
        return msgspec.convert(without(value, faults, place), kind)
    except msgspec.ValidationError:
        return None


def maybe_meant(name: str, known: Iterable[str]) -> str:
    """`; did you mean KNOWN?`; nothing where none is close."""
    close = difflib.get_close_matches(name, [*known], n=1)
    return f"; did you mean {close[0]}?" if close else ""


def shown(value: object) -> str:
    """A value as it is quoted in a fault."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            text = value if len(value) <= MAX_SHOWN else f"{value[:MAX_SHOWN]}…"
            return repr(text)
        case dict():
            return "a table"
        case list() | tuple():
            return "a list"
    return f"{value}"
