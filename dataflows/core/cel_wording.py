"""Faults of conditions in words: the messages of the CEL library are for its developers."""

import re

COMPILED = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
TOKEN = re.compile(r"(?:input|at:|at) '(.*?)'(?: expecting|$)")
MISSING = re.compile(r"missing '(.+)' at")
UNDECLARED = re.compile(r"undeclared reference to '(.+?)'")
OVERLOAD = re.compile(
    r"[Nn]o matching overloads? (?:for '(.+?)' applied to '\((.*)\)'|found : (.*))"
)
CALLED = re.compile(
    r"(?:\((?P<target>[\w, ]*)\)\.)?(?P<name>[\w@?!+\-*/%<>=&|:\[\]]+)\((?P<args>.*)\)"
)
END = "<EOF>"
CODE = " [INVALID_ARGUMENT]"
QUOTES = ("'", '"')
INSTEAD = {"=": "==", "and": "&&", "or": "||", "not": "!", "True": "true", "False": "false"}
KINDS = {
    "string": "a text",
    "int": "a whole number",
    "int64": "a whole number",
    "uint": "a whole number",
    "uint64": "a whole number",
    "double": "a number",
    "bool": "true or false",
    "dyn": "any value",
    "null": "nothing",
    "null_type": "nothing",
    "list": "a list",
    "map": "a table",
    "timestamp": "an instant",
    "duration": "a duration",
}
# The library's reasons, without its code: in words.
EVALUATED = {
    "divide by zero": "it divides by zero",
    "modulus by zero": "it divides by zero",
    "integer overflow": "a whole number gets too large",
    "cannot convert string to int": "a text is no whole number",
    "cannot convert string to uint": "a text is no whole number",
    "cannot convert string to double": "a text is no number",
    "Type conversion error from 'string' to 'bool'": "a text is not true or false",
    "String to Timestamp conversion failed": "a text is no instant",
    "String to Duration conversion failed": "a text is no duration",
}
PATTERN = "invalid regular expression: "
INDEX = "Index error"


def compile_fault(text: str, reason: str) -> str:
    """Why `text` can't be compiled: the first problem that the library reports, with its place."""
    found = COMPILED.search(reason)
    if not found:
        return "it can't be read as CEL; see docs/rules.md for examples"
    line, column = int(found[1]), int(found[2])
    here = text.split("\n")[line - 1][column - 1 : column]
    place = f"at character {column}" + (f" of line {line}" if line > 1 else "")
    return problem_at(place, here, found[3].removesuffix(CODE))


def problem_at(place: str, here: str, problem: str) -> str:
    """A problem that the library reports at a `place`, where the character `here` stands."""
    if missing := MISSING.search(problem):
        return f"{missing[1]} is missing {place}"
    if undeclared := UNDECLARED.search(problem):
        return unknown_name(undeclared[1], place, is_called=here == "(")
    if overload := OVERLOAD.search(problem):
        return f"{place}: {not_applicable(overload[1], overload[2])}"
    token = TOKEN.search(problem)
    if token and token[1] == END:
        return f"it ends too early, {place}; complete it"
    word = token[1].strip() if token else here
    if here in QUOTES:
        return f"the text {place} has no closing quote; add it"
    return f"{word} is unexpected {place}{instead(word)}"


def unknown_name(name: str, place: str, *, is_called: bool) -> str:
    """Problem of a name that is neither `order` nor `reading`, nor a function."""
    if name in INSTEAD:
        return f"{name} is unexpected {place}{instead(name)}"
    if is_called:
        return f"{name} is no function, {place}; see docs/rules.md for those there are"
    return (
        f"{name} is unknown {place}; attributes are order.{name}, readings reading.{name}, "
        "and texts stand in quotes"
    )


def instead(word: str) -> str:
    """Remedy for a word of another language."""
    return f"; write {INSTEAD[word]}" if word in INSTEAD else ""


def not_applicable(function: str, types: str) -> str:
    """Problem of an operator or function with values of the wrong types."""
    kinds = [kind_of(name) for name in types.split(", ") if name]
    operator = function.strip("_@") if not function[0].isalpha() else f"{function}()"
    given = " and ".join(kinds) or "nothing"
    return f"{operator} can't be applied to {given}"


def kind_of(name: str) -> str:
    """A type of the library as people call it."""
    return KINDS.get(name.partition("(")[0].partition("<")[0].lower(), f"a value of type {name}")


def evaluation_fault(reason: str) -> str:
    """Why a condition had no value for an order, from the library's reason with its code."""
    text = reason.partition(": ")[2] if reason.partition(": ")[0].isupper() else reason
    if text in EVALUATED:
        return EVALUATED[text]
    if text.startswith(PATTERN):
        return f"the pattern is invalid, {text.removeprefix(PATTERN)}"
    if text.startswith(INDEX):
        return "a list has no element of this number"
    overload = OVERLOAD.search(text)
    called = CALLED.fullmatch(overload[3]) if overload and overload[3] else None
    if called:
        types = ", ".join(part for part in (called["target"], called["args"]) if part)
        return not_applicable(called["name"], types)
    return f"it has no value ({text})"
