"""Shares: links to the customer's page, sealed and self-contained.

A token holds the tenant, the order, the level of detail and its end, encrypted and authenticated
(AES-256-GCM) under a key derived from the installation's secret. Nothing is stored: a link made
twice is two links, and what it shows is decided when it is made.
"""

import base64
import binascii
import hmac
import secrets
from hashlib import sha256
from typing import Literal, get_args

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

Level = Literal["town", "none"]  # places that the page shows
LEVELS: tuple[Level, ...] = get_args(Level)
DEFAULT_DAYS = 90
NONCE_BYTES = 12
LONGEST_TOKEN = 1_000


class Share(msgspec.Struct, frozen=True, array_like=True):
    """Payload of a token; `until_s` in seconds since 1970."""

    tenant: str
    order_id: str
    level: Level
    until_s: int


SHARE = msgspec.json.Decoder(Share)


class Shares:
    """Seals and opens tokens of an installation."""

    def __init__(self, secret: bytes) -> None:
        """Create it with the installation's secret."""
        self._cipher = AESGCM(hmac.new(secret, b"ordertide share", sha256).digest())
        self._nonce_key = hmac.new(secret, b"ordertide share nonce", sha256).digest()

    def sealed(self, share: Share) -> str:
        """The token of a share."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return token_of(nonce, self._cipher.encrypt(nonce, msgspec.json.encode(share), None))

    def repeatable(self, share: Share) -> str:
        """The same token whenever it is made; its nonce is a MAC of the share (RFC 5297's idea)."""
        payload = msgspec.json.encode(share)
        nonce = hmac.new(self._nonce_key, payload, sha256).digest()[:NONCE_BYTES]
        return token_of(nonce, self._cipher.encrypt(nonce, payload, None))

    def opened(self, token: str, now_s: float) -> Share | None:
        """The share of a token; None for a forged, damaged or expired one."""
        if len(token) > LONGEST_TOKEN:
            return None
        try:
            data = base64.b64decode(
                token.encode("ascii") + b"=" * (-len(token) % 4), b"-_", validate=True
            )
            share = SHARE.decode(self._cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], None))
        except (UnicodeEncodeError, binascii.Error, ValueError, InvalidTag, msgspec.DecodeError):
            return None
        return share if now_s < share.until_s else None


def token_of(nonce: bytes, data: bytes) -> str:
    """The token of encrypted data."""
    return base64.urlsafe_b64encode(nonce + data).decode().rstrip("=")
