"""Decoders of carriers' payloads: JSON, forms and local times, each with one clear rejection."""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, TypeVar
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from schemas.errors import Rejected, SettingsError
from schemas.event import decode_event, explain
from schemas.keys import content_id

# `2016-4-26 20:36:01`, `2016/04/26 20:36`: as some carriers write what ISO 8601 writes with zeros.
LOOSE_TIME = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})[T ]+(\d{1,2}):(\d{2})(?::(\d{2}))?")
OFFSET = re.compile(r"([+-])(\d\d):(\d\d)")
MAX_FORM_FIELDS = 32

T = TypeVar("T")


def decode(decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    """Read JSON into the decoder's type.

    Raises:
        Rejected: `invalid_utf8`, `malformed_json`, or `invalid_event` with the field.
    """
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise explain(data, error) from error


def form_field(body: bytes, name: str) -> str | None:
    """A field of a URL-encoded form; None if it isn't there.

    Raises:
        Rejected: `invalid_utf8`, or `invalid_event` for more fields than any carrier sends.
    """
    try:
        form = parse_qs(
            body.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FORM_FIELDS
        )
    except UnicodeDecodeError as error:
        raise Rejected("invalid_utf8", "the form is not UTF-8") from error
    except ValueError as error:
        raise Rejected("invalid_event", f"the form: {error}") from error
    return form[name][0] if name in form else None


def parse_zone(text: str, *, of: str) -> tzinfo:
    """The zone `+08:00` or `Asia/Shanghai`.

    Raises:
        SettingsError: no such zone; names `of`.
    """
    if found := OFFSET.fullmatch(text):
        offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
        if offset < timedelta(days=1):
            return timezone(-offset if found[1] == "-" else offset)
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        way_out = "write an offset like +08:00 or a name like Asia/Shanghai"
        message = f"{of}: no zone {text!r}; {way_out}"
        raise SettingsError(message) from error


def rfc3339(text: str, zone: tzinfo) -> str:
    """Convert `2016-01-04 20:16:42`, in `zone` unless it has its own, to RFC 3339.

    Raises:
        Rejected: `invalid_event`: no date with a time of day.
    """
    try:
        moment = datetime.fromisoformat(in_iso_8601(text))
    except ValueError as error:
        raise Rejected("invalid_event", f"time: {text[:40]!r} is no date and time") from error
    if ":" not in text:
        raise Rejected("invalid_event", f"time: {text[:40]!r} has no time of day")
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    try:
        return moment.astimezone(UTC).isoformat()
    except OverflowError as error:
        raise Rejected("implausible_time", f"time: {text!r} is outside the calendar") from error


def in_iso_8601(text: str) -> str:
    """A time without leading zeros, or with slashes, as ISO 8601 writes it; others as they are."""
    found = LOOSE_TIME.fullmatch(text.strip())
    if not found:
        return text
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups())
    return f"{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"


def scan_id(*parts: str) -> str:
    """Event id of a scan that has none: a hash of its content."""
    return content_id("scan", *parts)


def checked(event: dict[str, Any]) -> dict[str, Any]:
    """The event, without the fields that are None.

    Raises:
        Rejected: as `schemas.event.decode_event`.
    """
    present = {field: value for field, value in event.items() if value is not None}
    decode_event(msgspec.json.encode(present))
    return present
