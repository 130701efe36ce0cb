"""Sessions and sign-in codes, both signed with the installation's secret.

A session is a cookie without a store: which key signed in, until when, and an HMAC. It ends after
12 hours or with its key. A sign-in code is valid for 10 minutes and once: its first use creates a
file that no second use can create, in the folder that all `serve` of an installation share.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path

import msgspec

from gateway.access.signing import Signer
from schemas.private_files import FILE_MODE, private_folder

SESSION_S = 12 * 3600
CODE_S = 600
USED = "used-codes"


class Ticket(msgspec.Struct, frozen=True, array_like=True):
    """Payload of a session or a code: its id, the key it stands for, its end."""

    id: str
    key_id: str
    until_s: int


TICKET = msgspec.json.Decoder(Ticket)


class Sessions:
    """Signs and verifies sessions and codes; `now_s` is the wall clock in seconds."""

    def __init__(self, signer: Signer, folder: Path) -> None:
        """Create the sessions of an installation; `folder` keeps which codes were used."""
        self._signer = signer
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
        return self._signer.mac("csrf", session)

    def _forget_expired(self, now_s: float) -> None:
        for path in self._used.iterdir():
            with suppress(FileNotFoundError):  # another process was first
                if now_s - path.stat().st_mtime > 2 * CODE_S:
                    path.unlink()

    def _signed(self, purpose: str, key_id: str, until_s: float) -> str:
        ticket = Ticket(secrets.token_hex(16), key_id, int(until_s))
        return self._signer.signed(purpose, msgspec.json.encode(ticket))

    def _verified(self, purpose: str, text: str, now_s: float) -> Ticket | None:
        payload = self._signer.verified(purpose, text)
        if payload is None:
            return None
        ticket = TICKET.decode(payload)
        return ticket if now_s < ticket.until_s else None
