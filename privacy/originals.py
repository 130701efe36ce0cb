"""Sealing what was rejected: bytes that may be anything, kept until somebody has mended them.

In readable JSON every `personal` is sealed where it stands, under the key of the customer that it
stands with. What speaks of `personal` but can't be read, or hides JSON in a text or in base64, is
sealed whole, under a key of its own: `{"sealed_original": base64, "key": key_id}`.
"""

import re
from hashlib import sha256
from typing import NamedTuple

import msgspec

from privacy.keystore import KeyStore, subject_of
from privacy.seal import FIELDS, is_sealed, open_bytes, seal, seal_bytes
from schemas.keys import DEFAULT_TENANT

ORIGINAL = b"ordertide original 1"
ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
HIDING = b"data_base64"  # how a CloudEvent carries what isn't text
DEEPEST = 32  # each level is copied on the way down; a bomb shall not cost more than that
ESCAPED = re.compile(rb"\\u00([0-7][0-9a-fA-F])")
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Subject(NamedTuple):
    """Whose data this is: as much as the record has said so far."""

    tenant: str
    customer_id: str | None
    order_id: str | None
    other: str
    depth: int = 0

    def within(self, fields: dict[str, msgspec.Raw]) -> "Subject":
        """Whose data the values of `fields` are."""
        return Subject(
            text_of(fields.get("tenant")) or self.tenant,
            text_of(fields.get("customer_id")) or self.customer_id,
            text_of(fields.get("order_id")) or self.order_id,
            text_of(fields.get("waybill")) or self.other,
            self.depth + 1,
        )


def seal_rejected(data: bytes, keystore: KeyStore) -> bytes:
    """A rejected original without readable personal data; as it came if it can't have any."""
    if not may_be_personal(data):
        return data
    name = sha256(data).hexdigest()
    try:
        return seal_json(data, Subject(DEFAULT_TENANT, None, None, name), keystore)
    except UNREADABLE:
        return seal_original(data, name, keystore)


def seal_original(data: bytes, name: str, keystore: KeyStore) -> bytes:
    """The whole original sealed, under the key of `name`."""
    key = keystore.key_for(DEFAULT_TENANT, subject_of(other=name))
    sealed = seal_bytes(data, key, ORIGINAL)
    return msgspec.json.encode({"sealed_original": sealed["sealed"], "key": sealed["key"]})


def open_rejected(data: bytes, keystore: KeyStore) -> bytes:
    """The original of what `seal_rejected` sealed whole; anything else as it is.

    Raises:
        KeyErased: the key has been erased.
        StateError: the sealed bytes are damaged.
    """
    if not data.startswith(b'{"sealed_original":'):
        return data
    try:
        fields = msgspec.json.decode(data, type=dict[str, str])
    except UNREADABLE:
        return data  # something that only begins like one
    sealed = {"sealed": fields.get("sealed_original"), "key": fields.get("key")}
    return open_bytes(sealed, keystore, ORIGINAL) if is_sealed(sealed) else data


def may_be_personal(data: bytes) -> bool:
    """Whether `personal` is in these bytes, escaped, in capitals or in UTF-16, or base64 is."""
    plain = ESCAPED.sub(lambda escape: bytes.fromhex(escape[1].decode()), data)
    plain = plain.replace(b"\0", b"").lower()
    return b"personal" in plain or HIDING in plain


def seal_json(data: bytes, subject: Subject, keystore: KeyStore) -> bytes:
    """JSON with every `personal` in it sealed.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError: it can't be read, or only on a second look.
    """
    if subject.depth > DEEPEST:
        raise msgspec.DecodeError("nested too deeply")
    match data.lstrip()[:1]:
        case b"{":
            return seal_fields(FIELDS.decode(data), subject, keystore)
        case b"[":
            inside = subject._replace(depth=subject.depth + 1)
            items = [seal_json(bytes(item), inside, keystore) for item in ITEMS.decode(data)]
            return msgspec.json.encode([msgspec.Raw(item) for item in items])
        case _:
            check_plain(msgspec.json.decode(data))
            return data


def check_plain(value: object) -> None:
    """See that a number or text isn't JSON in disguise.

    Raises:
        msgspec.DecodeError: it is.
    """
    if isinstance(value, str) and '"personal"' in value.lower():
        raise msgspec.DecodeError("JSON within a text")


def seal_fields(fields: dict[str, msgspec.Raw], around: Subject, keystore: KeyStore) -> bytes:
    """An object with every `personal` in it sealed; raises like `seal_json`."""
    names = {name.lower() for name in fields}
    if HIDING.decode() in names:
        raise msgspec.DecodeError("JSON within base64")
    subject = around.within(fields)
    sealed = {
        name: (seal_personal if name.lower() == "personal" else seal_json)(
            bytes(value), subject, keystore
        )
        for name, value in fields.items()
    }
    return msgspec.json.encode({name: msgspec.Raw(value) for name, value in sealed.items()})


def seal_personal(data: bytes, subject: Subject, keystore: KeyStore) -> bytes:
    """The sealed form of the value of a field `personal`; nothing stays nothing."""
    personal = msgspec.json.decode(data)
    if personal is None or personal == {} or is_sealed(personal):
        return data
    whose = subject_of(subject.customer_id, subject.order_id, subject.other)
    return msgspec.json.encode(seal(personal, keystore.key_for(subject.tenant, whose)))


def text_of(value: msgspec.Raw | None) -> str | None:
    """An id as a text; a number counts, as it may be the very reason for the rejection."""
    found = msgspec.json.decode(value) if value is not None else None
    is_id = isinstance(found, str | int) and not isinstance(found, bool)
    return str(found) if is_id and found != "" else None
