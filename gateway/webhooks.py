"""Webhooks: subscriptions as `serve` has them, and their secrets, sealed in the control topic.

A secret signs in the action worker, so a hash of it isn't enough: it is encrypted and authenticated
(AES-256-GCM) under a key derived from the installation's secret, for its subscription alone.
"""

import base64
import binascii
import hmac
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas.errors import SettingsError
from sinks.actions.channels.addresses import Allowed
from sinks.subscriptions.deliveries import Deliveries, reading
from sinks.subscriptions.subscription import REQUEST, STATE, WEBHOOK, Subscriptions

NONCE_BYTES, SECRET_BYTES = 12, 32
PREFIX = "whsec_"


class WebhookSecrets:
    """Seals and opens the secrets of an installation's subscriptions."""

    def __init__(self, secret: bytes) -> None:
        """Create it with the installation's secret."""
        self._cipher = AESGCM(hmac.new(secret, b"ordertide webhook", sha256).digest())

    def sealed(self, name: str, secret: str) -> str:
        """The secret of a subscription, sealed."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        data = self._cipher.encrypt(nonce, secret.encode(), name.encode())
        return base64.b64encode(nonce + data).decode()

    def opened(self, name: str, sealed: str) -> str:
        """The secret of a subscription.

        Raises:
            SettingsError: it was sealed for another one, or under another installation's secret.
        """
        try:
            data = base64.b64decode(sealed, validate=True)
            opened = self._cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], name.encode())
        except (binascii.Error, ValueError, InvalidTag) as error:
            raise SettingsError(
                f"webhook {name}: its secret was sealed under another installation's secret; copy "
                "the folder of 'ordertide serve' to this host, or rotate the webhook's secret"
            ) from error
        return opened.decode()


class Webhooks(NamedTuple):
    """Subscriptions of an installation; `deliveries` is the action worker's file of deliveries."""

    subscriptions: Subscriptions
    secrets: WebhookSecrets
    allowed: Allowed
    deliveries: Path

    @contextmanager
    def reading(self) -> Iterator[Deliveries | None]:
        """The deliveries for one look; None where the worker's folder isn't on this host."""
        with reading(self.deliveries) as found:
            yield found


def new_secret() -> str:
    """A new random secret, as Standard Webhooks has it."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def takers_of(subscriptions: Subscriptions) -> dict[str, Callable[[str, bytes | None], None]]:
    """The takers of records of the control topic, by their kind."""
    return {
        WEBHOOK: subscriptions.take,
        STATE: subscriptions.take_state,
        REQUEST: subscriptions.take_request,
    }
