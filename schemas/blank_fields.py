"""Blank optional fields: "" and null mean that the field is absent."""

import json
from typing import Any

BLANK_IS_ABSENT = (
    "carrier",
    "corrects",
    "customer_id",
    "destination",
    "location",
    "operator",
    "parcels_expected",
    "planned",
    "references",
    "replaces",
    "shipment",
    "supplier_id",
    "waybill",
)
BY_NAME = ("destination", "location", "planned", "references")


def without_blanks(data: bytes) -> bytes:
    """The JSON of an event without its blank optional fields; `data` itself where there is none."""
    try:
        event = json.loads(data)
    except (ValueError, RecursionError):
        return data  # no JSON: the decoder gives the reason
    if not isinstance(event, dict):
        return data
    kept = {
        name: named(value) if name in BY_NAME else value
        for name, value in event.items()
        if name not in BLANK_IS_ABSENT or not is_blank(value)
    }
    return data if kept == event else json.dumps(kept).encode()


def is_blank(value: Any) -> bool:  # noqa: ANN401 - any JSON
    """Whether a value says nothing: null, or a text of white space."""
    return value is None or (isinstance(value, str) and not value.strip())


def named(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """An object without blank values, and without blanks in its lists."""
    if not isinstance(value, dict):
        return value
    return {name: listed(inner) for name, inner in value.items() if not is_blank(inner)}


def listed(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """A list without blanks; anything else as it is."""
    return [each for each in value if not is_blank(each)] if isinstance(value, list) else value
