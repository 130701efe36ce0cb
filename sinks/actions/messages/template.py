"""Template of a message: its first line is `Subject: …`, a blank line, then the body, in Jinja.

A template is checked when it is read, so that it can't fail when it is needed. It knows the fields
of `fields.py` and a dozen filters; its only loop is over a list of the fields, and loops don't
nest. So it ends, and soon: there are no calls, no arithmetic, no macros, no other files. Beside
that Jinja's sandbox holds, and bounds of size and time.

The text isn't escaped: what is sent as HTML is escaped as a whole (`messages.html_of`).
"""

import re
import time
from collections.abc import Iterator
from typing import NamedTuple

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from schemas.errors import Rejected, SettingsError
from schemas.type_faults import maybe_meant
from sinks.actions.messages.fields import PARTS, Fields

MOST_TEMPLATE_BYTES = 64_000
MOST_MESSAGE_CHARACTERS = 64_000
MOST_SUBJECT_CHARACTERS = 200
MOST_S = 1.0
SUBJECT = "Subject: "
FILTERS = ("capitalize", "default", "first", "last", "length", "lower", "title", "trim", "upper")
LOOP = ("first", "index", "last", "length")
PLAIN = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.Const, nodes.If, nodes.CondExpr),
    *(nodes.And, nodes.Or, nodes.Not, nodes.Compare, nodes.Operand, nodes.Concat),
)
BLANK_LINES = re.compile(r"\n{3,}")


class Text(NamedTuple):
    """A rendered message."""

    subject: str
    body: str


class Template:
    """A template called `name` in errors."""

    def __init__(self, source: str, name: str) -> None:
        """Read a template.

        Raises:
            SettingsError: a line for each fault, with name and line.
        """
        self.name = name
        try:
            if faults := [*dict.fromkeys(self._faults(source))]:
                lines = [f"{name}:{line}: {fault}" for line, fault in sorted(faults)]
                raise SettingsError("\n".join(lines))
            self._compiled = ENVIRONMENT.from_string(source)
        except RecursionError as error:
            raise SettingsError(f"{name}:1: it is nested too deeply; simplify it") from error

    def render(self, fields: Fields) -> Text:
        """The message for some fields.

        Raises:
            Rejected: `template`, it is too long, takes too long, or fails.
        """
        until_s = time.monotonic() + MOST_S
        parts: list[str] = []
        size = 0
        try:
            for part in self._compiled.generate(**fields._asdict()):
                parts.append(part)
                size += len(part)
                if size > MOST_MESSAGE_CHARACTERS or time.monotonic() > until_s:
                    break
        except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
            raise Rejected("template", f"{self.name}: {error}") from error
        if size > MOST_MESSAGE_CHARACTERS:
            problem = f"gives over {MOST_MESSAGE_CHARACTERS} characters; shorten it"
            raise Rejected("template", f"{self.name}: {problem}")
        if time.monotonic() > until_s:
            raise Rejected("template", f"{self.name}: takes over {MOST_S:g} s; shorten it")
        subject, _, body = "".join(parts).partition("\n")
        subject = subject.removeprefix(SUBJECT).strip()[:MOST_SUBJECT_CHARACTERS]
        return Text(subject, f"{BLANK_LINES.sub(chr(10) * 2, body).strip()}\n")

    def _faults(self, source: str) -> Iterator[tuple[int, str]]:
        if len(source.encode()) > MOST_TEMPLATE_BYTES:
            yield 1, f"it has over {MOST_TEMPLATE_BYTES} bytes; shorten it"
            return
        first, _, rest = source.partition("\n")
        if not first.startswith(SUBJECT) or not first.removeprefix(SUBJECT).strip():
            yield 1, f"the first line is no subject; write '{SUBJECT}…'"
        elif rest[:1].strip() or not rest.strip():
            yield 2, "the body is missing; write it below a blank line"
        try:
            parsed = ENVIRONMENT.parse(source)
        except TemplateSyntaxError as error:
            yield error.lineno, f"{error.message}; see Jinja's syntax"
            return
        yield from faults_in(parsed, {})


def faults_in(node: nodes.Node, names: dict[str, tuple[str, ...]]) -> Iterator[tuple[int, str]]:
    """(line, fault) of a node and what is in it; `names` of loops, with their parts."""
    if isinstance(node, nodes.For):
        yield from loop_faults(node, names)
        return
    if not isinstance(node, (*PLAIN, nodes.Name, nodes.Getattr, nodes.Filter)):
        what = type(node).__name__.lower()
        yield node.lineno, f"{what} isn't allowed; use fields, filters, if and for"
        return
    if isinstance(node, nodes.Filter) and node.name not in FILTERS:
        yield node.lineno, f"{node.name}: no such filter; known: {', '.join(FILTERS)}"
    if isinstance(node, nodes.Name) and node.name not in {*Fields._fields, *names}:
        known = maybe_meant(node.name, Fields._fields).removeprefix("; ")
        listed = known or f"known: {', '.join(Fields._fields)}"
        yield node.lineno, f"{node.name}: no such field; {listed}"
        return
    if isinstance(node, nodes.Getattr):
        owner = node.node.name if isinstance(node.node, nodes.Name) else ""
        if node.attr not in names.get(owner, ()):
            parts = ", ".join(names[owner]) if owner in names else "none"
            yield node.lineno, f"{owner}.{node.attr}: no such part; known: {parts}"
        return
    for inner in node.iter_child_nodes():
        yield from faults_in(inner, names)


def loop_faults(node: nodes.For, names: dict[str, tuple[str, ...]]) -> Iterator[tuple[int, str]]:
    """Faults of a loop: over a list of the fields, and not in another."""
    if names or node.recursive:
        yield node.lineno, "for: loops don't nest; take one out"
        return
    over = node.iter.name if isinstance(node.iter, nodes.Name) else ""
    if over not in PARTS or not isinstance(node.target, nodes.Name):
        yield node.lineno, f"for: write it as {{% for each in {next(iter(PARTS))} %}}"
        return
    inner = {node.target.name: PARTS[over], "loop": LOOP}
    for part in (*node.body, *node.else_, *([node.test] if node.test else ())):
        yield from faults_in(part, inner)


def environment() -> ImmutableSandboxedEnvironment:
    """Jinja's sandbox with the allowed filters, and nothing else."""
    made = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    made.filters = {name: made.filters[name] for name in FILTERS}
    made.globals.clear()
    return made


ENVIRONMENT = environment()
