"""Sessions and sign-in codes, both signed with the installation's secret.

A session is a cookie without a store: which key signed in, until when, and an HMAC. It ends after
12 hours or with its key. A sign-in code is valid for 10 minutes and once: its first use creates a
file that no second use can create, in the folder that all `serve` of an installation share.
"""

import base64
import binascii
import hmac
import os
import secrets
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import msgspec

from schemas.private_files import FILE_MODE, private_folder

SESSION_S = 12 * 3600
CODE_S = 600
USED = "used-codes"
PARTS = 2  # of a signed text: the payload and its HMAC


class Ticket(msgspec.Struct, frozen=True, array_like=True):
    """Payload of a session or a code: its purpose, its id, the key it stands for, its end."""

    purpose: str
    id: str
    key_id: str
    until_s: int


TICKET = msgspec.json.Decoder(Ticket)


class Sessions:
    """Signs and verifies sessions and codes; `now_s` is the wall clock in seconds."""

    def __init__(self, secret: bytes, folder: Path) -> None:
        """Create the sessions of an installation; `folder` keeps which codes were used."""
        self._secret = secret
        self._used = folder / USED

    def session(self, key_id: str, now_s: float) -> str:
        """The cookie of a new session."""
        return self._signed("session", key_id, now_s + SESSION_S)

    def code(self, key_id: str, now_s: float) -> str:
        """A new sign-in code."""
        return self._signed("code", key_id, now_s + CODE_S)

    def opened(self, cookie: str, now_s: float) -> Ticket | None:
        """The session of a cookie; None for a forged or expired one."""
        return self._verified("session", cookie, now_s)

    def redeemed(self, code: str, now_s: float) -> Ticket | None:
        """The ticket of a code, at its first use; None for any other."""
        ticket = self._verified("code", code, now_s)
        if ticket is None:
            return None
        private_folder(self._used)
        self._forget_expired(now_s)
        try:
            os.close(os.open(self._used / ticket.id, os.O_CREAT | os.O_EXCL, FILE_MODE))
        except FileExistsError:
            return None
        return ticket

    def csrf_token(self, session: str) -> str:
        """The token that forms of a session carry."""
        return self._mac(f"csrf {session}".encode())

    def _forget_expired(self, now_s: float) -> None:
        for path in self._used.iterdir():
            with suppress(FileNotFoundError):  # another process was first
                if now_s - path.stat().st_mtime > 2 * CODE_S:
                    path.unlink()

    def _signed(self, purpose: str, key_id: str, until_s: float) -> str:
        ticket = Ticket(purpose, secrets.token_hex(16), key_id, int(until_s))
        payload = base64.urlsafe_b64encode(msgspec.json.encode(ticket))
        return f"{payload.decode()}.{self._mac(payload)}"

    def _verified(self, purpose: str, text: str, now_s: float) -> Ticket | None:
        parts = text.encode("ascii", "replace").split(b".")
        if len(parts) != PARTS:
            return None
        payload, mac = parts
        if not hmac.compare_digest(self._mac(payload).encode(), mac):
            return None
        try:
            ticket = TICKET.decode(base64.urlsafe_b64decode(payload))
        except (binascii.Error, msgspec.DecodeError):
            return None
        return ticket if ticket.purpose == purpose and now_s < ticket.until_s else None

    def _mac(self, payload: bytes) -> str:
        return hmac.new(self._secret, payload, sha256).hexdigest()
