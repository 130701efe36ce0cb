"""Contents of an event after the door, literally from docs/semantics.md; see tests/reference.py.

Events are JSON as Python has it. Control characters and numbers beyond 64 bits are not drawn here.
"""

from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from schemas.instants import DAY_MS, LATEST_AT, parse_instant

Json = dict[str, Any]
Check = Callable[[Any], bool]

PROMISES = ("promised_at", "ship_by")
DECLARED: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "str": (str,)}


def is_blank(value: Any) -> bool:  # noqa: ANN401 - any JSON
    return value is None or (isinstance(value, str) and value.strip() == "")


def is_text(value: Any, most: int = 256) -> bool:  # noqa: ANN401 - any JSON
    return isinstance(value, str) and 1 <= len(value) <= most


def is_number(value: Any) -> bool:  # noqa: ANN401 - any JSON
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_between(value: Any, least: float, most: float) -> bool:  # noqa: ANN401 - any JSON
    return is_number(value) and least <= value <= most


def is_instant(value: Any) -> bool:  # noqa: ANN401 - any JSON
    try:
        return 0 <= parse_instant(value) < LATEST_AT and len(value) > len("2018-12-31")
    except (ValueError, TypeError):
        return False


def is_zone(value: Any) -> bool:  # noqa: ANN401 - any JSON
    try:
        return ZoneInfo(value) is not None
    except (ValueError, TypeError, OSError, ZoneInfoNotFoundError):
        return False


def is_promise(value: Any) -> bool:  # noqa: ANN401 - any JSON
    """ "withdrawn", an instant or a bare date. (No zone here makes a date of 1970 to 2099 odd.)"""
    try:
        is_day = 0 <= (date.fromisoformat(value) - date(1970, 1, 1)).days < LATEST_AT // DAY_MS
    except (ValueError, TypeError):
        is_day = False
    return value == "withdrawn" or is_day or is_instant(value)


def is_count(value: Any) -> bool:  # noqa: ANN401 - any JSON
    return type(value) is int and 1 <= value <= 250


def is_scalar(value: Any) -> bool:  # noqa: ANN401 - any JSON
    return value is None or isinstance(value, str | int | float)


DEGREES: dict[str, Check] = {
    "lat": partial(is_between, least=-90, most=90),
    "lon": partial(is_between, least=-180, most=180),
}
PLACES: dict[str, Check] = {"town": is_text, "region": is_text, "country": is_text}
FIELDS: dict[str, Check] = {
    **dict.fromkeys(("carrier", "supplier_id", "customer_id", "replaces"), is_text),
    **dict.fromkeys(("operator", "ip"), partial(is_text, most=512_000)),
    **dict.fromkeys(PROMISES, is_promise),
    "parcels_expected": is_count,
}
PARTS: dict[str, dict[str, Check]] = {
    "location": {"name": is_text, "datum": lambda value: value in ("WGS84", "GCJ02"), **DEGREES},
    "destination": {**PLACES, **DEGREES},
}
MAPS = ("references", "planned", "attributes")
NEEDED: dict[str, Check] = {
    **dict.fromkeys(("corrects", "tenant", "shipment", "waybill"), is_text),
    "kind": lambda value: value in ("fact", "command"),
    "format": lambda value: value == 1,
    "recorded_at": is_instant,
    "zone": is_zone,
    "personal": lambda value: isinstance(value, dict),
}


def is_refused(event: Json) -> bool:
    """Return True if a field that defines the event can't be used; of the event as stored."""
    has_owner = not event.get("personal") or "customer_id" not in event.get("dropped_fields", ())
    return not has_owner or any(
        name in event and not is_usable(event[name]) for name, is_usable in NEEDED.items()
    )


def as_kept(event: Json, declared: Json) -> Json:
    """The event without blank and unusable optional fields, the latter named.

    `declared` are the attributes of the rules file.
    """
    kept: Json = {}
    dropped: list[str] = []
    for name, value in event.items():
        is_optional = name in {*FIELDS, *PARTS, *MAPS, *NEEDED}
        if is_optional and is_blank(value):
            continue
        if isinstance(value, dict) and name in {*PARTS, *MAPS}:
            if held := kept_object(name, value, declared, dropped):
                kept[name] = held
        elif name in {*PARTS, *MAPS} or not FIELDS.get(name, always)(value):
            dropped.append(name)
        else:
            kept[name] = value
    return {**kept, "dropped_fields": sorted(set(dropped))} if dropped else kept


def always(_: object) -> bool:
    return True


def kept_object(name: str, value: Json, declared: Json, dropped: list[str]) -> Json:
    held: Json = {}
    for key, each in value.items():
        path = f"{name}.{key}"
        if is_blank(each) and name != "attributes":
            continue
        if name == "references":
            listed = [number for number in as_list(each) if not is_blank(number)]
            numbers = [number for number in listed if is_text(number) and is_text(key, 64)]
            if len(numbers) < len(listed):
                dropped.append(path)
            if numbers:
                held[key] = numbers if isinstance(each, list) else each
        elif name == "attributes" and key in declared and is_unset(each, declared[key]["type"]):
            continue
        elif is_entry(name, key, each, declared):
            held[key] = each
        else:
            dropped.append(path)
    return held


def as_list(value: Any) -> list[Any]:  # noqa: ANN401 - any JSON
    return value if isinstance(value, list) else [value]


def is_unset(value: Any, kind: str) -> bool:  # noqa: ANN401 - any JSON
    return value is None or (is_blank(value) and kind != "str")


def is_entry(name: str, key: str, value: Any, declared: Json) -> bool:  # noqa: ANN401 - any JSON
    if name in PARTS:
        return PARTS[name].get(key, always)(value)
    if not is_text(key, 64):
        return False
    if name == "planned":
        return is_instant(value)
    if key not in declared:
        return is_scalar(value)
    kind = declared[key]["type"]
    if isinstance(value, bool) or kind == "bool":
        return isinstance(value, bool) and kind == "bool"
    return isinstance(value, DECLARED[kind])
