"""Sessions and sign-in codes, both signed with the installation's secret.

A session is a cookie without a store: which key signed in, or who did at the issuer, until when,
and an HMAC. It ends after 12 hours or with its key. A sign-in code is valid for 10 minutes and
once: its first use creates a file that no second use can create, in the folder that all `serve` of
an installation share.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path

import msgspec

from gateway.access.caller import Caller
from gateway.access.signing import Signer
from schemas.private_files import FILE_MODE, private_folder

SESSION_S = 12 * 3600
CODE_S = 600
USED = "used-codes"


class Ticket(msgspec.Struct, frozen=True, array_like=True):
    """Payload of a session or a code: its id, the key it stands for, its end.

    `caller` is who has signed in at the issuer, None with a key.
    """

    id: str
    key_id: str
    until_s: int
    caller: Caller | None = None


TICKET = msgspec.json.Decoder(Ticket)


class Sessions:
    """Signs and verifies sessions and codes; `now_s` is the wall clock in seconds."""

    def __init__(self, signer: Signer, folder: Path) -> None:
        """Create the sessions of an installation; `folder` keeps which codes were used."""
        self.signer = signer
        self._used = folder / USED

    def session(self, key_id: str, now_s: float) -> str:
        """The cookie of a new session."""
        return self._signed("session", Ticket(new_id(), key_id, int(now_s) + SESSION_S))

    def session_of(self, caller: Caller) -> str:
        """The cookie of a new session of a caller who has signed in at the issuer."""
        assert caller.until_s is not None, caller
        ticket = Ticket(new_id(), caller.key_id, caller.until_s, caller)
        return self._signed("session", ticket)

    def code(self, key_id: str, now_s: float) -> str:
        """A new sign-in code."""
        return self._signed("code", Ticket(new_id(), key_id, int(now_s) + CODE_S))

    def opened(self, cookie: str, now_s: float) -> Ticket | None:
        """The session of a cookie; None for a forged or expired one."""
        return self._verified("session", cookie, now_s)

    def redeemed(self, code: str, now_s: float) -> Ticket | None:
        """The ticket of a code, at its first use; None for any other."""
        ticket = self._verified("code", code, now_s)
        return ticket if ticket and self.use_once(ticket.id, now_s) else None

    def use_once(self, used: str, now_s: float) -> bool:
        """Return True at the first use of an id, which is valid for 10 minutes."""
        private_folder(self._used)
        self._forget_expired(now_s)
        try:
            os.close(os.open(self._used / used, os.O_CREAT | os.O_EXCL, FILE_MODE))
        except FileExistsError:
            return False
        return True

    def csrf_token(self, session: str) -> str:
        """The token that forms of a session carry."""
        return self.signer.mac("csrf", session)

    def _forget_expired(self, now_s: float) -> None:
        for path in self._used.iterdir():
            with suppress(FileNotFoundError):  # another process was first
                if now_s - path.stat().st_mtime > 2 * CODE_S:
                    path.unlink()

    def _signed(self, purpose: str, ticket: Ticket) -> str:
        return self.signer.signed(purpose, msgspec.json.encode(ticket))

    def _verified(self, purpose: str, text: str, now_s: float) -> Ticket | None:
        payload = self.signer.verified(purpose, text)
        if payload is None:
            return None
        ticket = TICKET.decode(payload)
        return ticket if now_s < ticket.until_s else None


def new_id() -> str:
    """A random id, which names a file too."""
    return secrets.token_hex(16)
