"""Optional fields of an event: blank ones are absent, unusable ones are left out and named.

Null and a text of white space mean that a field is absent. Any other value that a field can't have
(another type, out of range, too long, no time, an unknown enumerator) costs that field alone: of
`references`, `attributes`, `planned`, `location` and `destination` only the value inside. A number
is no text: as a number it has lost its leading zeros, and 4711 is another number than "04711".
The result is a function of the message.

A field in `REFUSED` says what the event is or whose it is, so an unusable one refuses the event.
"""

from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Any, get_type_hints

import msgspec

from schemas.errors import Rejected
from schemas.instants import is_plausible, to_instant
from schemas.promises import WITHDRAWN_TEXT, is_zone, promise
from schemas.sanitization import (
    DROPPED,
    FIELDS,
    ITEMS,
    UNREADABLE,
    Fields,
    fields_in,
    has_personal,
    noted,
    printable,
)

if TYPE_CHECKING:
    from schemas.event import Event

REQUIRED = ("event_id", "status_code", "timestamp", "source", "order_id")
REFUSED = (
    *("kind", "corrects", "tenant", "format", "recorded_at", "shipment", "waybill", "zone"),
    "personal",  # else the data would be lost; the original is kept sealed
)
PROMISES = ("promised_at", "ship_by")
MAPS = ("attributes", "planned", "references")
KINDS = ("location", "destination")
TEXTS = (
    *("waybill", "shipment", "tenant", "corrects", "replaces", "carrier", "customer_id"),
    *("supplier_id", "promised_at", "ship_by", "zone", "operator", "ip"),
)
texts_of = attrgetter(*TEXTS)

MAX_NAME_LENGTH = 64  # of a kind, an attribute or a milestone, as `schemas.event.Code`
TEXT = msgspec.json.Decoder(str)

Decoders = Mapping[str, msgspec.json.Decoder[Any]]


class OptionalFields:
    """The optional fields of a type of event, each with the decoder of its type."""

    def __init__(
        self, event: type, parts: Mapping[str, type], values: Mapping[str, object]
    ) -> None:
        """Create it.

        `parts` are the types of `location` and `destination`, `values` those of one attribute, one
        planned time and one reference.
        """
        self.fields = {
            name: decoder for name, decoder in decoders_of(event).items() if name not in REQUIRED
        }
        self.parts = {name: decoders_of(part) for name, part in parts.items()}
        self.values = {name: msgspec.json.Decoder(value) for name, value in values.items()}

    def usable(self, data: bytes) -> bytes:
        """The JSON of an event without what is blank or unusable, which is named in it.

        `data` itself where that is no object.

        Raises:
            Rejected: `invalid_event`, the zone doesn't exist, or customer_id can't be used and
                stands beside personal data.
        """
        try:
            fields = FIELDS.decode(data)
        except UNREADABLE:
            return data
        present = {
            name: raw for name, raw in fields.items() if name not in self.fields or not blank(raw)
        }
        cleaning = Cleaning(self, present)
        kept = {name: cleaning.cleaned(name, raw) for name, raw in present.items()}
        found = {name: raw for name, raw in kept.items() if raw is not None}
        if cleaning.dropped:
            found[DROPPED] = msgspec.Raw(msgspec.json.encode(noted(found, cleaning.dropped)))
        return msgspec.json.encode(found)


class Cleaning:
    """The cleaning of one event. `dropped` names what is left out, blank values apart."""

    def __init__(self, types: OptionalFields, present: Fields) -> None:
        """Read the zone, in which promises are tried.

        Raises:
            Rejected: `invalid_event`, it doesn't exist.
        """
        self.types = types
        self.dropped: list[str] = []
        self.zone = zone_in(present)
        self.has_personal = has_personal(present)

    def cleaned(self, name: str, raw: msgspec.Raw) -> msgspec.Raw | None:
        """A field as it stays; None if it is left out.

        Raises:
            Rejected: `invalid_event`, the field may not be left out.
        """
        if name not in self.types.fields or name in REFUSED:
            return raw  # the decoder refuses it by name, if at all
        if name in MAPS and is_object(raw):
            return self.cleaned_map(name, raw)
        if name in KINDS and is_object(raw):
            return self.cleaned_parts(name, raw)
        if self.is_usable(name, raw):
            return raw
        if name == "customer_id" and self.has_personal:
            raise Rejected(
                "invalid_event",
                "customer_id: not a text of 1 to 256 characters, and the personal data beside it is"
                " sealed for the customer; send it as such a text",
            )
        self.dropped.append(name)
        return None

    def is_usable(self, name: str, raw: msgspec.Raw) -> bool:
        """Return True if a whole field can be used."""
        if not decodes(self.types.fields[name], raw):
            return False
        return name not in PROMISES or is_promise(TEXT.decode(raw), self.zone)

    def cleaned_parts(self, name: str, raw: msgspec.Raw) -> msgspec.Raw | None:
        """An object with fields of its own, without those that can't be used."""
        decoders, kept = self.types.parts[name], dict[str, msgspec.Raw]()
        for part, value in fields_in(raw).items():
            if part in decoders and blank(value):
                continue
            if part not in decoders or decodes(decoders[part], value):
                kept[part] = value
            else:
                self.drop(f"{name}.{part}")
        return encoded(kept) if kept else None

    def cleaned_map(self, name: str, raw: msgspec.Raw) -> msgspec.Raw | None:
        """A map without the entries that can't be used; blank ones are absent, but attributes."""
        kept: Fields = {}
        for key, value in fields_in(raw).items():
            if name != "attributes" and blank(value):
                continue
            path = f"{name}.{key}"
            if not 1 <= len(key) <= MAX_NAME_LENGTH:
                self.drop(path)
            elif name == "references":
                if (numbers := self.cleaned_numbers(path, value)) is not None:
                    kept[key] = numbers
            elif self.is_entry(name, value):
                kept[key] = value
            else:
                self.drop(path)
        return encoded(kept) if kept else None

    def is_entry(self, name: str, value: msgspec.Raw) -> bool:
        """Return True if an attribute or a planned time can be used."""
        decoder = self.types.values[name]
        if not decodes(decoder, value):
            return False
        return name != "planned" or is_plausible(to_instant(decoder.decode(value)))

    def cleaned_numbers(self, path: str, value: msgspec.Raw) -> msgspec.Raw | None:
        """The numbers of a kind without those that can't be used; None if none is left."""
        number = self.types.values["references"]
        if not bytes(value).startswith(b"["):
            if decodes(number, value):
                return value
            self.drop(path)
            return None
        present = [item for item in ITEMS.decode(value) if not blank(item)]
        usable = [item for item in present if decodes(number, item)]
        if len(usable) < len(present):
            self.drop(path)
        return msgspec.Raw(msgspec.json.encode(usable)) if usable else None

    def drop(self, path: str) -> None:
        """Name what is left out, once."""
        name = printable(path)
        if name not in self.dropped:
            self.dropped.append(name)


def decoders_of(struct: type) -> Decoders:
    """{field: decoder of its type} of a struct."""
    hints = get_type_hints(struct, include_extras=True)
    return {name: msgspec.json.Decoder(hint) for name, hint in hints.items()}


def decodes(decoder: msgspec.json.Decoder[Any], raw: msgspec.Raw) -> bool:
    """Return True if a value has the type of a decoder."""
    try:
        decoder.decode(raw)
    except UNREADABLE:
        return False
    return True


def is_object(raw: msgspec.Raw) -> bool:
    """Return True if this JSON is an object."""
    return bytes(raw).startswith(b"{")


def blank(raw: msgspec.Raw) -> bool:
    """Return True for null, or a text of white space."""
    data = bytes(raw)
    if data == b"null":
        return True
    return data.startswith(b'"') and decodes(TEXT, raw) and not TEXT.decode(raw).strip()


def encoded(fields: Fields) -> msgspec.Raw:
    """An object as JSON."""
    return msgspec.Raw(msgspec.json.encode(fields))


def zone_in(fields: Fields) -> str | None:
    """The zone that an event names; None if it names none, or no text.

    Raises:
        Rejected: `invalid_event`, it doesn't exist.
    """
    raw = fields.get("zone")
    if raw is None or not decodes(TEXT, raw):
        return None  # the decoder refuses what is no text
    zone = TEXT.decode(raw)
    if not is_zone(zone):
        raise Rejected(
            "invalid_event", f"zone: {zone!r} is no zone; send a name like Asia/Shanghai"
        )
    return zone


def is_promise(text: str, zone: str | None) -> bool:
    """Return True if this is a promise: a plausible time, or a promise taken back."""
    try:
        return text == WITHDRAWN_TEXT or is_plausible(promise(text, zone))
    except ValueError:
        return False


def is_sound(event: "Event", data: bytes) -> bool:
    """Return True if nothing in a decoded event is blank or unusable; 0.5 us for a usual one."""
    if may_be_blank(data) and has_blank(event):
        return False
    if event.zone is not None and not is_zone(event.zone):
        return False
    if event.planned and not all(map(is_plausible, map(to_instant, event.planned.values()))):
        return False
    promises = (event.promised_at, event.ship_by)
    return all(text is None or is_promise(text, event.zone) for text in promises)


def may_be_blank(data: bytes) -> bool:
    """Return True if a text in these bytes may be of white space: " ", or anything beyond ASCII."""
    return b'" ' in data or not data.isascii() or b"\\u" in data


def has_blank(event: "Event") -> bool:
    """Return True if a text of an optional field is of white space."""
    texts = [text for text in texts_of(event) if text is not None]
    if event.references:
        texts += numbers_of(event.references.values())
    if event.location and event.location.name:
        texts.append(event.location.name)
    if event.destination:
        places = (event.destination.town, event.destination.region, event.destination.country)
        texts += [text for text in places if text is not None]
    return any(not text.strip() for text in texts)


def numbers_of(values: Iterable[str | list[str]]) -> list[str]:
    """All numbers of references."""
    return [each for value in values for each in ([value] if isinstance(value, str) else value)]
