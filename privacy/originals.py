"""Sealing of rejected originals: arbitrary bytes, kept until they are corrected and replayed.

In readable JSON every `personal` is sealed where it stands, at the place that the record names: the
same as the event's, so that it is accepted when it comes back. An original that mentions `personal`
but can't be read, or hides JSON in a text or in base64, is sealed whole, under a key of its own:
`{"sealed_original": base64, "key": key_id}`. That key is linked to every customer, order and number
that the bytes mention, so that erasing one of them erases the original.
"""

import re
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Any

import msgspec

from privacy.keystore import KeyStore
from privacy.mentions import mentions
from privacy.place import ORIGINAL, Named, Place, links_between, number_of, numbers_of
from privacy.seal import FIELDS, is_sealed, open_bytes, seal_at
from schemas.cloudevents import FIELDS as ENVELOPE

Headers = Iterable[tuple[str, bytes | None]]
Treat = Callable[[bytes, Place], bytes]

ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
HIDING = b"data_base64"  # how a CloudEvent carries what isn't text
DEEPEST = 32  # each level is copied on the way down; a bomb shall not cost more than that
ESCAPED = re.compile(rb"\\u00([0-7][0-9a-fA-F])")
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
SEALED_WHOLE = b'{"sealed_original":'
CE = "ce_"
WHOLE = Place(field=ORIGINAL)  # its key is its own, which binds it as well as a name would
MAX_NUMBER = 256  # characters


def seal_rejected(data: bytes, keystore: KeyStore, headers: Headers = ()) -> bytes:
    """A rejected original without readable personal data; as it came if it can't have any.

    `headers` of a binary CloudEvent name whose it is.
    """
    if not may_be_personal(data):
        return data
    around = around_of(headers)

    def treat(value: bytes, place: Place) -> bytes:
        return seal_personal(value, place, keystore)

    try:
        return walk(data, around, treat)
    except UNREADABLE:
        return seal_original(data, around, keystore)


def seal_original(data: bytes, around: Place, keystore: KeyStore) -> bytes:
    """The whole original sealed, under a key of its own."""
    own = Place(number=sha256(data).hexdigest())
    for tenant, subject in mentions(data, around):
        keystore.link(tenant, own.subject, subject, below_tenant=own.tenant)
    sealed = seal_at(WHOLE, data, keystore, of=own)
    return msgspec.json.encode({"sealed_original": sealed["sealed"], "key": sealed["key"]})


def open_rejected(data: bytes, keystore: KeyStore, headers: Headers = ()) -> bytes:
    """The original of what `seal_rejected` sealed, whole or in place; anything else as it is.

    Raises:
        KeyErased: the key has been erased.
        StateError: the sealed bytes are damaged, or were copied from another record.
    """
    if sealed := sealed_whole(data):
        return open_bytes(sealed, keystore, WHOLE)

    def treat(value: bytes, place: Place) -> bytes:
        personal = msgspec.json.decode(value)
        return open_bytes(personal, keystore, place) if is_sealed(personal) else value

    if b'"sealed"' not in data:
        return data
    try:
        return walk(data, around_of(headers), treat)
    except UNREADABLE:
        return data


def personal_in(data: bytes, headers: Headers = ()) -> list[tuple[Place, object]]:
    """Every `personal` in JSON, with its place; none in what can't be read."""
    found: list[tuple[Place, object]] = []

    def treat(value: bytes, place: Place) -> bytes:
        found.append((place, msgspec.json.decode(value)))
        return value

    try:
        walk(data, around_of(headers), treat)
    except UNREADABLE:
        return []
    return found


def sealed_whole(data: bytes) -> dict[str, str] | None:
    """The sealed form in an original that was sealed whole; None in anything else."""
    if not data.startswith(SEALED_WHOLE):
        return None
    try:
        fields = msgspec.json.decode(data, type=dict[str, str])
    except UNREADABLE:
        return None  # something that only begins like one
    sealed = {"sealed": fields.get("sealed_original", ""), "key": fields.get("key", "")}
    return sealed if is_sealed(sealed) else None


def may_be_personal(data: bytes) -> bool:
    """Return True if bytes hold `personal`, also escaped, in capitals or UTF-16, or hold base64."""
    plain = ESCAPED.sub(lambda escape: bytes.fromhex(escape[1].decode()), data)
    plain = plain.replace(b"\0", b"").lower()
    return b"personal" in plain or HIDING in plain


def around_of(headers: Headers) -> Place:
    """The place that the headers of a binary CloudEvent name."""
    named = {
        ENVELOPE.get(name.removeprefix(CE), name.removeprefix(CE)): value.decode("utf-8", "replace")
        for name, value in headers
        if name.startswith(CE) and value
    }
    return within(
        Place(), {name: msgspec.Raw(msgspec.json.encode(text)) for name, text in named.items()}
    )


def walk(data: bytes, around: Place, treat: Treat, depth: int = 0) -> bytes:
    """Apply `treat` to every `personal` in this JSON at its place; return the JSON.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError: it can't be read, or only by a second decoder.
    """
    if depth > DEEPEST:
        raise msgspec.DecodeError("nested too deeply")
    match data.lstrip()[:1]:
        case b"{":
            return walk_fields(FIELDS.decode(data), around, treat, depth + 1)
        case b"[":
            items = [walk(bytes(item), around, treat, depth + 1) for item in ITEMS.decode(data)]
            return msgspec.json.encode([msgspec.Raw(item) for item in items])
        case _:
            check_plain(msgspec.json.decode(data))
            return data


def check_plain(value: object) -> None:
    """Check that a number or text isn't JSON in disguise.

    Raises:
        msgspec.DecodeError: it is.
    """
    if isinstance(value, str) and '"personal"' in value.lower():
        raise msgspec.DecodeError("JSON within a text")


def walk_fields(fields: dict[str, msgspec.Raw], around: Place, treat: Treat, depth: int) -> bytes:
    """An object with every `personal` in it treated; raises like `walk`."""
    if HIDING.decode() in {name.lower() for name in fields}:
        raise msgspec.DecodeError("JSON within base64")
    place = within(around, fields)
    treated = {
        name: treat(bytes(value), place)
        if name.lower() == "personal"
        else walk(bytes(value), place, treat, depth)
        for name, value in fields.items()
    }
    return msgspec.json.encode({name: msgspec.Raw(value) for name, value in treated.items()})


def within(around: Place, fields: dict[str, msgspec.Raw]) -> Place:
    """The place of the values of `fields`: what these name goes before what is around them."""
    if "specversion" in fields:  # a CloudEvent
        fields = {ENVELOPE.get(name, name): value for name, value in fields.items()}
    numbers = number_in(fields)
    own = {
        "tenant": text_of(fields.get("tenant")),
        "customer_id": text_of(fields.get("customer_id")),
        "order_id": text_of(fields.get("order_id")),
        "number": numbers,
        "source": text_of(fields.get("source")),
        "event_id": text_of(fields.get("event_id")),
    }
    return around._replace(**{name: text for name, text in own.items() if text})


def number_in(fields: dict[str, msgspec.Raw]) -> str | None:
    """The waybill, else the first reference that can be used, as `numbers_of` has it."""
    if waybill := number_of("waybill", text_of(fields.get("waybill")) or ""):
        return waybill
    try:
        references = msgspec.json.decode(fields.get("references", b"{}"), type=dict[str, Any])
    except msgspec.DecodeError:
        return None  # no references at all: the event counts without them
    usable: dict[str, str | list[str]] = {
        kind: usable_numbers(listed) for kind, listed in references.items()
    }
    return next(iter(numbers_of(Named(references=usable))), None)


def usable_numbers(listed: object) -> list[str]:
    """The numbers of a kind that the door takes (see `schemas.optional_fields`)."""
    numbers = listed if isinstance(listed, list) else [listed]
    texts = [number for number in numbers if isinstance(number, str)]
    return [number for number in texts if number.strip() and len(number) <= MAX_NUMBER]


def seal_personal(data: bytes, place: Place, keystore: KeyStore) -> bytes:
    """The sealed form of the value of a field `personal`; nothing stays nothing."""
    personal = msgspec.json.decode(data)
    if personal is None or personal == {} or is_sealed(personal):
        return data
    link_place(place, keystore)
    plain = msgspec.json.encode(personal, order="sorted")
    of = place if place.is_named else Place(number=sha256(data).hexdigest())
    return msgspec.json.encode(seal_at(place, plain, keystore, of=of))


def link_place(place: Place, keystore: KeyStore) -> None:
    """Note the links that a place shows."""
    numbers = [place.number] if place.number else []
    for below, above in links_between(place.customer_id, place.order_id, numbers):
        keystore.link(place.tenant, below, above)


def text_of(value: msgspec.Raw | None) -> str | None:
    """An id as a text; a number counts, as it may be the very reason for the rejection."""
    found = msgspec.json.decode(value) if value is not None else None
    is_id = isinstance(found, str | int) and not isinstance(found, bool)
    return str(found) if is_id and str(found).strip() else None
