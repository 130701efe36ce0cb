"""Asked: the query parameters of a request as a struct, with the parameter at fault named."""

import re
from functools import cache
from typing import Any, Literal
from urllib.parse import parse_qsl

import msgspec
from msgspec import inspect
from starlette.requests import Request

from gateway.access.access import CSRF_FIELD
from gateway.problems import Problem
from schemas.decode_faults import decode_fault
from schemas.errors import SettingsError
from schemas.instants import LATEST_AT, parse_duration, parse_instant
from schemas.json_faults import json_fault
from schemas.type_faults import maybe_meant

FORM = "application/x-www-form-urlencoded"
MOST_FIELDS = 32
NAME = re.compile(r"\w*")
LISTS = inspect.ListType | inspect.VarTupleType
# A list may come several times; a map comes as `field.KEY=value`, each key once.
Form = Literal["value", "list", "map"]


def query_of(asks: type[msgspec.Struct] | None, request: Request) -> Any:  # noqa: ANN401 - an instance of `asks`
    """The query parameters as an instance of `asks`; None where a route asks for nothing.

    Raises:
        Problem: `bad_field`, names the parameter.
    """
    sent = request.query_params
    fields = fields_of(asks)
    given: dict[str, Any] = {}
    for name in sent:
        field, _, key = name.partition(".")
        form, values = fields.get(field), sent.getlist(name)
        if form is None or (form == "map") != bool(key):
            raise unknown(name, [parameter_name(each, fields[each]) for each in fields])
        if form == "list":
            given[name] = values
        elif len(values) > 1:
            raise Problem("bad_field", f"{name}: it is given twice; send it once", field=name)
        elif form == "map":
            given.setdefault(field, {})[key] = values[0]
        else:
            given[name] = values[0]
    return None if asks is None else converted(given, asks)


def converted(given: dict[str, Any], asks: type[msgspec.Struct]) -> Any:  # noqa: ANN401 - an instance of `asks`
    """Texts as an instance of `asks`.

    Raises:
        Problem: `bad_field`; also for the text `null`, which msgspec takes for a value left out.
    """
    try:
        found = msgspec.convert(given, asks, strict=False)
    except msgspec.ValidationError as error:
        raise worded(error) from error
    for name, text in given.items():
        if getattr(found, name) is None:
            reason = f"{name}: {text!r} is none of its values; leave it out"
            raise Problem("bad_field", reason, field=name)
    return found


def body_as(asks: type[msgspec.Struct], data: bytes, content_type: str) -> tuple[Any, str]:
    """(the body as an instance of `asks`, the CSRF token in a form): JSON, or a form of fields.

    Raises:
        Problem: `bad_json`, `bad_field`.
    """
    try:
        if not content_type.startswith(FORM):
            return msgspec.json.decode(data or b"{}", type=asks), ""
        form = dict(parse_qsl(data.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS))
        token = form.pop(CSRF_FIELD, "")
        return converted(form, asks), token
    except msgspec.ValidationError as error:
        raise worded(error) from error
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        fault = json_fault(error, data)
        raise Problem("bad_json", f"the body can't be read: {fault}") from error


@cache
def fields_of(asks: type[msgspec.Struct] | None) -> dict[str, Form]:
    """{field: its form}."""
    if asks is None:
        return {}
    described = inspect.type_info(asks)
    assert isinstance(described, inspect.StructType)
    return {field.encode_name: form_of(field.type) for field in described.fields}


def form_of(described: inspect.Type) -> Form:
    """The form of a field, also of one that may be missing."""
    kinds = described.types if isinstance(described, inspect.UnionType) else (described,)
    if any(isinstance(each, inspect.DictType) for each in kinds):
        return "map"
    return "list" if any(isinstance(each, LISTS) for each in kinds) else "value"


def parameter_name(field: str, form: Form) -> str:
    """The parameter as it is documented: `limit`, `attribute.NAME`."""
    return f"{field}.NAME" if form == "map" else field


def unknown(name: str, known: list[str]) -> Problem:
    """The problem of a parameter that the route lacks, with the near one."""
    listed = f"; the route takes {', '.join(known) or 'none'}"
    hint = maybe_meant(name, known) or listed
    return Problem("bad_field", f"{name}: there is no such parameter{hint}", field=name)


def worded(error: msgspec.ValidationError) -> Problem:
    """The problem of a parameter or field that can't be used."""
    fault = decode_fault(error)
    named = NAME.match(fault.field)
    return Problem("bad_field", str(fault), field=(named and named[0]) or None)


def instant_of(field: str, text: str) -> int:
    """The instant in a parameter or field, in ms.

    Raises:
        Problem: `bad_field`, it is none.
    """
    try:
        return parse_instant(text)
    except ValueError as error:
        raise Problem("bad_field", f"{field}: {error}", field=field) from error


def instant_in(asked: Any, field: str) -> int | None:  # noqa: ANN401 - any struct with the field
    """The instant in a field of what was asked, in ms; None where it isn't given.

    Raises:
        Problem: `bad_field`, it is none.
    """
    text: str | None = getattr(asked, field)
    return None if text is None else instant_of(field, text)


def duration_of(field: str, text: str) -> int:
    """The duration in a parameter or field, in ms.

    Raises:
        Problem: `bad_field`, it is none, or longer than there is time.
    """
    try:
        duration_ms = parse_duration(text, of=field)
    except SettingsError as error:
        raise Problem("bad_field", str(error), field=field) from error
    if duration_ms > LATEST_AT:
        raise Problem("bad_field", f"{field}: {text!r} is over a century", field=field)
    return duration_ms
