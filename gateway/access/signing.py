"""Signing with the installation's secret: texts that come back from clients unchanged.

A signed text is a payload in base64, a dot, and an HMAC-SHA256 over the purpose and the payload. A
text signed for one purpose is none for another.
"""

import base64
import binascii
import hmac
from hashlib import sha256

PARTS = 2  # of a signed text


class Signer:
    """Signs payloads and verifies what comes back."""

    def __init__(self, secret: bytes) -> None:
        """Create a signer with a secret of 256 bits."""
        self._secret = secret

    def signed(self, purpose: str, payload: bytes) -> str:
        """The signed text of a payload."""
        encoded = base64.urlsafe_b64encode(payload).decode()
        return f"{encoded}.{self.mac(purpose, encoded)}"

    def verified(self, purpose: str, text: str) -> bytes | None:
        """The payload of a signed text; None if it wasn't signed here for this purpose."""
        parts = text.split(".")
        if len(parts) != PARTS or not text.isascii():
            return None
        encoded, mac = parts
        if not hmac.compare_digest(self.mac(purpose, encoded), mac):
            return None
        try:
            return base64.urlsafe_b64decode(encoded)
        except binascii.Error:
            return None

    def mac(self, purpose: str, text: str) -> str:
        """The HMAC of a text, in hex."""
        return hmac.new(self._secret, f"{purpose} {text}".encode(), sha256).hexdigest()
