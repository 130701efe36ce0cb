"""Faults of types: found exactly where msgspec refuses, and all of them."""

from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, inspect

from schemas.type_faults import Fault, converted_without, type_faults


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    kind: Literal["left", "right"]
    size: Annotated[int, Meta(ge=1, le=16)] = 1


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    inner: Inner | None = None
    rows: list[Inner] = []
    by_name: dict[str, float] = {}
    pair: tuple[int, int] = (1, 2)
    days: tuple[Literal["mon", "tue"], ...] = ()
    is_on: bool = False
    folder: Annotated[str, Meta(min_length=1)] | None = None
    version: Literal[1] = 1


OUTER = inspect.type_info(Outer)
LEAVES = st.sampled_from(["left", "lft", "mon", "", "1", 1, 2, 0, 17, 1.5, True, "true"])
NAMES = [
    "id",
    "inner",
    "rows",
    "by_name",
    "pair",
    "days",
    "is_on",
    "folder",
    "version",
    "kind",
    "size",
]
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner),
    max_leaves=12,
)
INNER = st.fixed_dictionaries({}, optional={"kind": LEAVES, "size": LEAVES}) | VALUES
TABLES = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(NAMES, VALUES),
        "id": LEAVES,
        "inner": INNER,
        "rows": st.lists(INNER, max_size=3),
        "pair": st.lists(LEAVES, max_size=3),
    },
)


def faults(value: object, *, lenient: bool = False) -> list[Fault]:
    return [*type_faults(value, OUTER, lenient=lenient)]


@given(TABLES, st.booleans())
def test_there_are_faults_exactly_where_msgspec_refuses(value: Any, lenient: bool) -> None:  # noqa: ANN401, FBT001 - hypothesis
    try:
        msgspec.convert(value, Outer, strict=not lenient)
    except msgspec.ValidationError:
        assert faults(value, lenient=lenient)
    else:
        assert not faults(value, lenient=lenient)


@pytest.mark.parametrize(
    ("value", "place", "text"),
    [
        ({}, (), "id is missing; write a text, in quotes"),
        ({"id": 4}, ("id",), "4 is no text; write a text, in quotes"),
        ({"id": "a", "idd": 4}, ("idd",), "unknown key; did you mean id?"),
        ({"id": "a", "zzz": 4}, ("zzz",), "unknown key; known: id, inner, rows, by_name, pair"),
        ({"id": "a", "inner": 4}, ("inner",), "4 is no table; write a table, like {name = value}"),
        ({"id": "a", "inner": {}}, ("inner",), "kind is missing; choose one of left, right"),
        (
            {"id": "a", "inner": {"kind": "lft"}},
            ("inner", "kind"),
            "'lft' is none; choose one of left, right; did you mean left?",
        ),
        (
            {"id": "a", "rows": [{"kind": "left", "size": 17}]},
            ("rows", 0, "size"),
            "17 is out of range; write one from 1 to 16",
        ),
        ({"id": "a", "by_name": {"x": "y"}}, ("by_name", "x"), "'y' is no number; write a number"),
        (
            {"id": "a", "pair": [1]},
            ("pair",),
            "a list is no list of this length; write a",
        ),
        ({"id": "a", "days": ["tu"]}, ("days", 0), "'tu' is none; choose one of mon, tue; did you"),
        ({"id": "a", "is_on": "on"}, ("is_on",), "'on' is no yes or no; write true or false"),
        ({"id": "a", "folder": ""}, ("folder",), "it is empty; write a text, or leave the key out"),
        ({"id": "a", "version": 2}, ("version",), "2 is none; write 1"),
        ({"id": "a", "rows": {}}, ("rows",), "a table is no list; write a list, in [ ]"),
    ],
)
def test_a_fault_names_its_place_the_allowed_values_and_what_was_meant(
    value: object, place: tuple[str | int, ...], text: str
) -> None:
    [fault] = faults(value)
    assert fault.place == place
    assert fault.text.startswith(text)


def test_all_faults_are_found_at_once() -> None:
    value = {"inner": {"kind": 1, "size": 0}, "is_on": 3, "x": 1}
    places = [fault.place for fault in faults(value)]
    assert sorted(map(str, places)) == sorted(
        map(str, [("x",), (), ("inner", "kind"), ("inner", "size"), ("is_on",)])
    )


def test_what_is_right_can_be_taken_without_what_is_wrong() -> None:
    value = {"kind": "left", "size": 99}
    wrong = [*type_faults(value, inspect.type_info(Inner), ("rows", 1))]
    assert converted_without(value, Inner, wrong, ("rows", 1)) == Inner("left")
    assert converted_without({"size": 3}, Inner, (), ()) is None
