"""API keys: `ot_<id>_<43 characters>`, of which only the SHA-256 is kept.

A key holds 256 random bits, so a plain hash is enough: there is nothing to guess.
"""

import hmac
import re
import secrets
from hashlib import sha256

import msgspec

from gateway.access.caller import Caller, Role
from schemas.control_records import ControlRecords

KEY = re.compile(r"ot_([0-9a-z]{10})_[\w-]{43}", re.ASCII)
PARTIES = {"customer": "a customer id", "supplier": "a supplier id", "carrier": "a carrier's code"}
API_KEY = "api-key"  # kind of the control topic
ADMIN_ID = "admin00000"  # id of the key that the first start creates


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is kept. `caller` comes with it; `by` made it `at` an instant."""

    sha256: str
    caller: Caller
    by: str = ""
    at: str = ""


RECORD = msgspec.json.Decoder(KeyRecord)


class KeyRing(ControlRecords[KeyRecord]):
    """The keys by their ids."""

    def __init__(self) -> None:
        """Create a ring without keys."""
        super().__init__(RECORD.decode)

    def caller_of(self, key: str) -> Caller | None:
        """The caller who comes with a key; None for an unknown or revoked one."""
        found = KEY.fullmatch(key)
        record = self.records.get(found[1]) if found else None
        if record is None or not hmac.compare_digest(digest(key), record.sha256):
            return None
        return record.caller

    def caller_with(self, key_id: str) -> Caller | None:
        """The caller of the key with an id; None where it was revoked."""
        record = self.records.get(key_id)
        return record.caller if record else None

    def take(self, name: str, record: bytes | None) -> None:
        if name != ADMIN_ID:  # that key lies in the folder alone
            super().take(name, record)

    def add(self, record: KeyRecord) -> None:
        """Take a key."""
        self.records[record.caller.key_id] = record


def new_key(key_id: str | None = None) -> str:
    """A new random key."""
    return f"ot_{key_id or secrets.token_hex(5)}_{secrets.token_urlsafe(32)}"


def id_of(key: str) -> str | None:
    """The id in a key; None if it isn't of a key's form."""
    found = KEY.fullmatch(key)
    return found[1] if found else None


def record_of(
    key: str,
    role: Role,
    name: str = "",
    *,
    tenant: str | None = None,
    party: str = "",
    by: str = "",
    at: str = "",
) -> KeyRecord:
    """The record of a key; without `tenant` it is of the whole installation."""
    caller = Caller(key_id=id_of(key) or "", role=role, tenant=tenant, party=party, name=name)
    return KeyRecord(sha256=digest(key), caller=caller, by=by, at=at)


def fault_of_party(role: Role, party: str) -> str | None:
    """Fault of a key's party: a party's role needs one, and no other takes one."""
    if (role in PARTIES) == bool(party):
        return None
    if role in PARTIES:
        return f"it is missing; a key of role {role} needs {PARTIES[role]}"
    return f"role {role} sees more than one party's orders; leave it out"


def digest(key: str) -> str:
    """SHA-256 of a key, in hex."""
    return sha256(key.encode()).hexdigest()
