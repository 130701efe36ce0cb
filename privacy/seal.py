"""Sealing: `{"sealed": base64, "key": key_id}` in the place of personal data.

The cipher is AES-SIV (RFC 5297) with two AES-256 keys, over the JSON with sorted keys. It is
deterministic, and has to be: an event that is delivered twice must be the same event, and a crash
and replay must write the same bytes, so a random nonce would make conflicts out of duplicates. SIV
is the mode made for that: its only leak is that two equal texts under one key look equal, which
says of one customer that two events carry the same data. AES-GCM with a nonce derived from the
content would need its own proof that nonces never meet; two that do give the key away.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from privacy.keystore import Key, KeyErased, KeyStore, subject_of
from schemas.errors import StateError
from schemas.event import Event

PERSONAL = b"ordertide personal 1"  # associated data: what the sealed bytes are
TAG_BYTES = 16
KEY_ID_DIGITS = 32
ESCAPE = b"\\u00"  # a name can be written in escapes

FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def seal(personal: Any, key: Key) -> dict[str, str]:  # noqa: ANN401 - any JSON, as it came
    """The sealed form of personal data: an object, or whatever JSON came in its place."""
    return seal_bytes(msgspec.json.encode(personal, order="sorted"), key, PERSONAL)


def seal_bytes(plain: bytes, key: Key, meaning: bytes) -> dict[str, str]:
    """The sealed form of bytes; `meaning` must be the same when they are opened."""
    sealed = AESSIV(key.secret).encrypt(plain, [meaning, key.key_id.encode()])
    return {"sealed": base64.b64encode(sealed).decode(), "key": key.key_id}


def open_sealed(sealed: Mapping[str, Any], keystore: KeyStore) -> Any:  # noqa: ANN401 - as it came
    """The personal data in a sealed form.

    Raises:
        KeyErased: its key has been erased: nobody can open it any more.
        StateError: it is damaged or no sealed form.
    """
    return msgspec.json.decode(open_bytes(sealed, keystore, PERSONAL))


def open_bytes(sealed: Mapping[str, Any], keystore: KeyStore, meaning: bytes) -> bytes:
    """The bytes in a sealed form; raises like `open_sealed`."""
    if not is_sealed(sealed):
        raise StateError("personal data: not in sealed form, there is nothing to open")
    key_id = sealed["key"]
    key = keystore.find(key_id)
    if key is None:
        raise KeyErased(f"personal data under key {key_id}: the key has been erased")
    try:
        data = base64.b64decode(sealed["sealed"])
        return AESSIV(key.secret).decrypt(data, [meaning, key_id.encode()])
    except InvalidTag as error:
        raise StateError(f"personal data under key {key_id}: damaged; ask another tier") from error


def is_sealed(personal: object) -> bool:
    """Whether this is a sealed form: its two fields, each of the right shape, and nothing else."""
    match personal:
        case {"sealed": str(text), "key": str(key_id), **rest} if not rest:
            pass
        case _:
            return False
    try:
        data = base64.b64decode(text, validate=True)
        bytes.fromhex(key_id)
    except (binascii.Error, ValueError):
        return False
    return len(data) > TAG_BYTES and len(key_id) == KEY_ID_DIGITS


def seal_event(
    data: bytes, event: Event, keystore: KeyStore, *, order_id: str | None = None
) -> bytes:
    """The bytes of `event` with its personal data sealed; every other field as it came.

    Sealed under the customer's key, else the order's (`order_id` is the resolved one, where the
    event has none), else the waybill's. What is sealed already stays.
    """
    personal = event.personal
    if not personal and b"personal" not in data and ESCAPE not in data:
        return data
    fields = FIELDS.decode(data)  # of a name that comes twice, only the last is left
    if personal and not is_sealed(personal):
        subject = subject_of(
            event.customer_id, event.order_id or order_id, event.waybill or event.event_id
        )
        sealed = seal(personal, keystore.key_for(event.tenant, subject))
        fields["personal"] = msgspec.Raw(msgspec.json.encode(sealed))
    return msgspec.json.encode(fields)
