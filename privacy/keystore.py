"""What a key store is: one key per customer, made when first asked for, erased on request."""

import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import RLock
from typing import NamedTuple, Protocol

from schemas.errors import OrdertideError
from schemas.keys import SEPARATOR

KEY_BYTES = 64  # AES-256-SIV takes two keys of 32 bytes
KEY_ID_BYTES = 16


class KeyErased(OrdertideError):
    """The key that something was sealed under is gone, and with it what was sealed."""


class Key(NamedTuple):
    """A customer's key. `key_id` is random: it says nothing about the customer."""

    key_id: str
    secret: bytes

    def __repr__(self) -> str:
        """Without the secret: a key may end up in a log or a traceback."""
        return f"Key({self.key_id})"


class KeyStore(Protocol):
    """Keeps keys by (tenant, customer). Safe to use from several threads.

    `customer` is a customer_id, or what `subject_of` makes where there is none.
    """

    def key_for(self, tenant: str, customer: str) -> Key:
        """The key of a customer; made, and durable, when it is asked for the first time.

        Raises:
            StateError: the store can't be read or written.
        """

    def find(self, key_id: str) -> Key | None:
        """The key with this id; None if it has been erased or never was."""

    def erase(self, tenant: str, customer: str) -> str | None:
        """Forget the key of a customer for good; its id, None if there was none.

        The next `key_for` makes another key: what comes later can be read, what was sealed before
        can't.
        """

    def batch(self) -> AbstractContextManager[None]:
        """Keys made inside are durable only when it ends: one fsync for many keys."""


def subject_of(
    customer_id: str | None = None, order_id: str | None = None, other: str | None = None
) -> str:
    """Whose key seals personal data: the customer's, else the order's, else that of `other`.

    `other` is a waybill, or whatever else names the record. The separator can't occur in an id, so
    that an order never shares the key of a customer with the same number.
    """
    if customer_id:
        return customer_id
    if order_id:
        return f"order{SEPARATOR}{order_id}"
    return f"other{SEPARATOR}{other or ''}"


def new_key() -> Key:
    """A key that nobody has."""
    return Key(secrets.token_hex(KEY_ID_BYTES), secrets.token_bytes(KEY_BYTES))


class MemoryKeyStore:
    """A KeyStore that lasts as long as its process: what it sealed is unreadable afterwards."""

    def __init__(self) -> None:
        """No keys."""
        self.lock = RLock()
        self.by_customer: dict[tuple[str, str], Key] = {}
        self.by_id: dict[str, Key] = {}

    def key_for(self, tenant: str, customer: str) -> Key:
        with self.lock:
            key = self.by_customer.get((tenant, customer))
            if key is None:
                key = self.by_customer[tenant, customer] = new_key()
                self.by_id[key.key_id] = key
            return key

    def find(self, key_id: str) -> Key | None:
        with self.lock:
            return self.by_id.get(key_id)

    def erase(self, tenant: str, customer: str) -> str | None:
        with self.lock:
            key = self.by_customer.pop((tenant, customer), None)
            if key is None:
                return None
            del self.by_id[key.key_id]
            return key.key_id

    @contextmanager
    def batch(self) -> Iterator[None]:
        yield
