"""The syntax tree of a condition: which names it reads, and which parts can never give a value.

CEL's compiler checks neither the keys of a map nor the text of a pattern, so `order["x"]` of an
undeclared attribute compiles and is never true. What is read here is its own checked expression
(google/api/expr/v1alpha1/syntax.proto), which `cel-expr-python` gives in the wire format of
protocol buffers: a dozen fields, so no protobuf library is needed.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

ANY_VALUE, CHECKED_EXPR = 2, 4  # of google.protobuf.Any, of CheckedExpr
CONST, IDENT, SELECT, CALL, LIST, STRUCT, COMPREHENSION = 3, 4, 5, 6, 7, 8, 9  # of Expr
STRING = 6  # of Constant
NAME = 1  # of Ident
OPERAND, FIELD = 1, 2  # of Select
TARGET, FUNCTION, ARGS = 1, 2, 3  # of Call
ELEMENTS = 1  # of CreateList
ENTRIES, KEY, VALUE = 2, 3, 4  # of CreateStruct, and of its entries
ITER_VAR, ITER_RANGE, ACCU_VAR, ACCU_INIT, CONDITION, STEP, RESULT, ITER_VAR_2 = range(1, 9)
VARINT, BYTES = 0, 2  # wire types
FIXED_BYTES = {1: 8, 5: 4}  # of the others

Fields = list[tuple[int, Any]]


class Path(NamedTuple):
    """Fields that an expression reads: `order.a`, `order["a"]` and `"a" in order` alike.

    No names: the variable as a whole, or by a key that is computed. `names` of `reading.a.max` are
    `("a", "max")`.
    """

    variable: str
    names: tuple[str, ...]


class Call(NamedTuple):
    """A call with a constant text as its last argument, as `matches("(")` or `duration("2h")`."""

    function: str
    text: str


class Comparison(NamedTuple):
    """A path that is compared with a constant text: `order.a == "x"`, `order.a in ["x", "y"]`."""

    path: Path
    text: str


def paths_of(serialized: bytes) -> list[Path]:
    """Everything that a compiled expression reads, as often as it reads it."""
    return [use for use in uses(root(serialized), frozenset()) if isinstance(use, Path)]


def calls_of(serialized: bytes) -> list[Call]:
    """The calls with a constant text."""
    return [use for use in uses(root(serialized), frozenset()) if isinstance(use, Call)]


def comparisons_of(serialized: bytes) -> list[Comparison]:
    """The comparisons of a path with a constant text."""
    found = uses(root(serialized), frozenset())
    return [use for use in found if isinstance(use, Comparison)]


def root(serialized: bytes) -> Fields:
    """The outermost expression."""
    return message(one(message(one(message(serialized), ANY_VALUE)), CHECKED_EXPR))


def uses(expr: Fields, bound: frozenset[str]) -> Iterator[Path | Call | Comparison]:
    """Fields used in an expression; `bound` are the variables of comprehensions."""
    path = path_of(expr, bound)
    if path:
        yield path
        return
    for number, value in expr:
        if number not in PARTS:
            continue
        fields = message(value)
        if number == CALL and (call := call_of(fields)):
            yield call
        if number == CALL:
            yield from compared_in(fields, bound)
        within = bound | variables_of(fields) if number == COMPREHENSION else bound
        for kind, part in PARTS[number](fields):
            yield from uses(message(part), within if kind in {CONDITION, STEP, RESULT} else bound)


def variables_of(fields: Fields) -> frozenset[str]:
    """The variables of a comprehension."""
    names = (ITER_VAR, ACCU_VAR, ITER_VAR_2)
    return frozenset(text(value) for kind, value in fields if kind in names)


def entries_of(fields: Fields) -> Fields:
    """The keys and values of `{key: value}`."""
    entries = [message(entry) for kind, entry in fields if kind == ENTRIES]
    return [(0, part) for entry in entries for kind, part in entry if kind in {KEY, VALUE}]


def only(*kinds: int) -> Callable[[Fields], Fields]:
    """Function that takes some fields of a message."""
    return lambda fields: [(kind, value) for kind, value in fields if kind in kinds]


# The expressions in an expression, by its kind.
PARTS: dict[int, Callable[[Fields], Fields]] = {
    SELECT: lambda fields: [(0, one(fields, OPERAND))],
    CALL: lambda fields: [(0, value) for kind, value in fields if kind in {TARGET, ARGS}],
    LIST: lambda fields: [(0, value) for kind, value in fields if kind == ELEMENTS],
    STRUCT: entries_of,
    # Its variables hide others of their names, but not in the range and the first value.
    COMPREHENSION: only(ITER_RANGE, ACCU_INIT, CONDITION, STEP, RESULT),
}


def call_of(fields: Fields) -> Call | None:
    """A call with a constant text as its last argument; operators are none."""
    args = [message(value) for kind, value in fields if kind == ARGS]
    constant = text_of(args[-1]) if args else None
    function = text(one(fields, FUNCTION))
    return Call(function, constant) if constant is not None and function[0].isalpha() else None


def compared_in(fields: Fields, bound: frozenset[str]) -> Iterator[Comparison]:
    """The constant texts that a call compares a path with."""
    args = [message(value) for kind, value in fields if kind == ARGS]
    if text(one(fields, FUNCTION)) not in {"_==_", "_!=_", "@in"}:
        return
    for expr, other in (args, args[::-1]):
        path = path_of(expr, bound)
        texts = (text_of(each) for each in [other, *elements_of(other)]) if path else ()
        for each in texts:
            if path and each is not None:
                yield Comparison(path, each)


def elements_of(expr: Fields) -> list[Fields]:
    """The elements of a list; none of anything else."""
    return [
        message(value)
        for number, fields in expr
        if number == LIST
        for kind, value in message(fields)
        if kind == ELEMENTS
    ]


def path_of(expr: Fields, bound: frozenset[str]) -> Path | None:
    """The path that an expression is; None if it is none."""
    for number, value in expr:
        if number == IDENT:
            name = text(one(message(value), NAME))
            return None if name in bound else Path(name, ())
        if number == SELECT:
            fields = message(value)
            return longer(path_of(message(one(fields, OPERAND)), bound), text(one(fields, FIELD)))
        if number == CALL:
            return path_of_call(message(value), bound)
    return None


def path_of_call(fields: Fields, bound: frozenset[str]) -> Path | None:
    """`operand["name"]`, `"name" in operand`, and `dyn(operand)`, which is the operand."""
    function = text(one(fields, FUNCTION))
    args = [message(value) for kind, value in fields if kind == ARGS]
    if function == "dyn":
        return path_of(args[0], bound)
    if function not in {"_[_]", "@in"}:
        return None
    operand, key = args if function == "_[_]" else reversed(args)
    name = text_of(key)
    return None if name is None else longer(path_of(operand, bound), name)


def longer(path: Path | None, name: str) -> Path | None:
    """A path with one more name."""
    return path and Path(path.variable, (*path.names, name))


def text_of(expr: Fields) -> str | None:
    """A constant text; None for anything else."""
    for number, value in expr:
        if number == CONST:
            texts = [found for kind, found in message(value) if kind == STRING]
            return text(texts[0]) if texts else None
    return None


def text(value: bytes) -> str:
    """A text field."""
    return value.decode()


def one(fields: Fields, number: int) -> bytes:
    """The bytes of a field; none where it is left out."""
    return next((value for found, value in fields if found == number), b"")


def message(data: bytes) -> Fields:
    """The fields of a message, in order."""
    fields: Fields = []
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        value: Any
        if key & 7 == VARINT:
            value, at = varint(data, at)
        elif key & 7 == BYTES:
            size, at = varint(data, at)
            value, at = data[at : at + size], at + size
        else:
            size = FIXED_BYTES[key & 7]
            value, at = data[at : at + size], at + size
        fields.append((key >> 3, value))
    return fields


def varint(data: bytes, at: int) -> tuple[int, int]:
    """(a number in base 128, the place after it)."""
    number = shift = 0
    while data[at] & 0x80:
        number |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    return number | data[at] << shift, at + 1
