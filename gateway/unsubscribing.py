"""Unsubscribing: customers who want no more messages of a kind, kept in the control topic.

A refusal is named by a keyed digest of person and kind, so that the topic names no customer
(docs/privacy.md). The link in a message holds that digest, signed; it works for ever.
"""

import hmac
from hashlib import sha256

import msgspec

from gateway.access.signing import Signer
from gateway.control import Control
from schemas.control_records import ControlRecords
from schemas.errors import Busy
from schemas.keys import SEPARATOR

REFUSAL = "refusal"  # kind of the control topic
PURPOSE = "unsubscribe"
LONGEST_TOKEN = 2_000
NAME_DIGITS = 32  # 128 bits


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal of a kind of message: since when."""

    at: str
    kind: str


class Unsubscribing(msgspec.Struct, frozen=True, array_like=True):
    """Content of a link: the refusal's name, and the message that it came with."""

    name: str
    kind: str
    tenant: str
    order_id: str


LINK = msgspec.json.Decoder(Unsubscribing)
RECORD = msgspec.json.Decoder(Refusal)


class Refusals(ControlRecords[Refusal]):
    """The refusals by name, and the links that lead to them."""

    def __init__(self, secret: bytes) -> None:
        """Create a collection without refusals, with the installation's secret."""
        super().__init__(RECORD.decode)
        self._key = hmac.new(secret, b"ordertide unsubscribe", sha256).digest()
        self._signer = Signer(secret)

    def name_of(self, person: str, kind: str) -> str:
        """Name of a person's refusal of a kind."""
        text = f"{person}{SEPARATOR}{kind}".encode()
        return hmac.new(self._key, text, sha256).hexdigest()[:NAME_DIGITS]

    def token(self, person: str, kind: str, tenant: str, order_id: str) -> str:
        """The token of a link, the same on every attempt."""
        content = Unsubscribing(self.name_of(person, kind), kind, tenant, order_id)
        return self._signer.signed(PURPOSE, msgspec.json.encode(content))

    def opened(self, token: str) -> Unsubscribing | None:
        """The content of a token; None for one that wasn't made here."""
        content = self._signer.verified(PURPOSE, token) if len(token) <= LONGEST_TOKEN else None
        return LINK.decode(content) if content else None


class FollowedRefusals:
    """Refusals for the action worker; `control` reads them."""

    def __init__(self, refusals: Refusals, control: Control) -> None:
        """Create it over a reader that its owner starts and closes."""
        self._refusals = refusals
        self._control = control

    def refuses(self, person: str, kind: str) -> bool:
        """Return True if a person wants no messages of a kind.

        Raises:
            Busy: not everything was read yet.
        """
        if unready := self._control.unready:
            raise Busy(f"unsubscribed customers: {unready}")
        return self._refusals.name_of(person, kind) in self._refusals.records
