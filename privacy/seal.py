"""Sealing: `{"sealed": base64, "key": key_id}` in the place of personal data.

The cipher is AES-SIV (RFC 5297) with two AES-256 keys, over the JSON with sorted keys. It is
deterministic, and has to be: an event that is delivered twice must be the same event, and a crash
and replay must write the same bytes, so a random nonce would make conflicts out of duplicates. SIV
is the mode made for that. Its associated data is the place (privacy/place.py), so that a sealed
value opens in its own record only, and equal texts of two events don't look equal. AES-GCM with a
nonce derived from the content would need its own proof that nonces never meet; two that do give the
key away.

Of an erased subject nothing is sealed: a fixed text stands there, under the id of the erased key.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from privacy.keystore import Key, KeyErased, KeyStore
from privacy.place import NAMED, Place, link_all, place_of
from schemas.errors import Rejected, StateError
from schemas.event import Event
from schemas.json_faults import json_fault

TAG_BYTES = 16
KEY_ID_DIGITS = 32
ESCAPE = b"\\u00"  # a name can be written in escapes
ERASED = base64.b64encode(b"erased: nothing was kept").decode()

FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def seal(
    personal: Any,  # noqa: ANN401 - any JSON, as it came
    key: Key,
    place: Place | None = None,
) -> dict[str, str]:
    """The sealed form of personal data at `place`: an object, or whatever JSON came instead."""
    return seal_bytes(msgspec.json.encode(personal, order="sorted"), key, place or Place())


def seal_bytes(plain: bytes, key: Key, place: Place) -> dict[str, str]:
    """The sealed form of bytes; `place` must be the same when they are opened."""
    sealed = AESSIV(key.secret).encrypt(plain, place.bound_to(key.key_id))
    return {"sealed": base64.b64encode(sealed).decode(), "key": key.key_id}


def seal_at(
    place: Place, plain: bytes, keystore: KeyStore, of: Place | None = None
) -> dict[str, str]:
    """The sealed form of bytes under the key of the place's subject (or that of the place `of`).

    Of an erased subject a fixed text.

    Raises:
        StateError: the key store can't be read or written.
    """
    holder = of or place
    try:
        return seal_bytes(plain, keystore.key_for(holder.tenant, holder.subject), place)
    except KeyErased as erased:
        return {"sealed": ERASED, "key": erased.key_id}


def open_event(data: bytes, keystore: KeyStore) -> Any:  # noqa: ANN401 - any JSON
    """Open the personal data of an event as stored (JSON); None if it has none.

    Raises:
        KeyErased: its key has been erased; the data can't be opened any more.
        StateError: it is damaged, not sealed, or was sealed in another record.
    """
    try:
        event = NAMED.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        reason = json_fault(error, data)
        raise StateError(f"personal data: {reason}; query another tier") from error
    personal = msgspec.json.decode(event.personal)
    return None if personal is None else open_sealed(personal, keystore, place_of(event))


def open_sealed(sealed: Mapping[str, Any], keystore: KeyStore, place: Place | None = None) -> Any:  # noqa: ANN401 - as it came
    """Open the personal data in a sealed form at `place` (of no record without one).

    Raises:
        KeyErased: its key has been erased; the data can't be opened any more.
        StateError: it is damaged, no sealed form, or was sealed at another place.
    """
    return msgspec.json.decode(open_bytes(sealed, keystore, place or Place()))


def open_bytes(sealed: Mapping[str, Any], keystore: KeyStore, place: Place) -> bytes:
    """The bytes in a sealed form; raises like `open_sealed`."""
    if not is_sealed(sealed):
        raise StateError("personal data: not in sealed form, there is nothing to open")
    key_id = sealed["key"]
    key = keystore.find(key_id)
    if key is None:
        raise KeyErased(key_id)
    try:
        data = base64.b64decode(sealed["sealed"])
        return AESSIV(key.secret).decrypt(data, place.bound_to(key_id))
    except InvalidTag as error:
        raise StateError(
            f"personal data under key {key_id}: damaged, or copied from another record; "
            "query another tier"
        ) from error


def sealed_in(data: bytes | msgspec.Raw) -> dict[str, str] | None:
    """The sealed form in an event as stored (JSON); None if it has no personal data."""
    personal = msgspec.json.decode(NAMED.decode(data).personal)
    return personal if is_sealed(personal) else None


def is_sealed(personal: object) -> bool:
    """Return True for a sealed form: its two fields, each of the right shape, and nothing else."""
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
    data: bytes, event: Event, keystore: KeyStore, *, has_all_keys: bool = True
) -> bytes:
    """The bytes of `event` with its personal data sealed; every other field as it came.

    Sealed under the customer's key, else the order's, else that of its first number. What is sealed
    already stays, if it was sealed here and for this event. Without `has_all_keys` (a replay of
    another installation's archive) what is under an unknown key stays as well.

    Raises:
        Rejected: `foreign_sealed`.
        StateError: the key store can't be read or written.
    """
    personal = event.personal
    if not personal and b"personal" not in data and ESCAPE not in data:
        return data
    fields = FIELDS.decode(data)  # of a name that comes twice, only the last is left
    if personal:
        link_all(event, keystore)
        place = place_of(event)
        if is_sealed(personal):
            check_sealed(personal, place, keystore, has_all_keys=has_all_keys)
        else:
            plain = msgspec.json.encode(personal, order="sorted")
            sealed = seal_at(place, plain, keystore)
            fields["personal"] = msgspec.Raw(msgspec.json.encode(sealed))
    return msgspec.json.encode(fields)


def check_sealed(
    sealed: Mapping[str, Any], place: Place, keystore: KeyStore, *, has_all_keys: bool
) -> None:
    """Refuse a sealed value that isn't of this installation, or not of this place.

    Raises:
        Rejected: `foreign_sealed`.
    """
    try:
        open_bytes(sealed, keystore, place)
    except KeyErased as erased:
        if has_all_keys and not keystore.is_erased(erased.key_id):
            reason = (
                "personal: sealed under a key that this installation never had; send it as it is"
            )
            raise Rejected("foreign_sealed", reason) from erased
    except StateError as error:
        reason = "personal: a sealed value copied from another record; send the data itself"
        raise Rejected("foreign_sealed", reason) from error
