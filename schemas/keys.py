"""Keys and ids: how an order, an alert and an action are named, the same way in every part."""

from functools import lru_cache
from hashlib import blake2b

DEFAULT_TENANT = "default"
SEPARATOR = "\x1f"  # can't occur in an id: control characters are rejected at the door


def order_key(tenant: str, order_id: str) -> str:
    """The key of an order in state, topics and tiers; the plain order id for the default tenant."""
    return order_id if tenant == DEFAULT_TENANT else f"{tenant}{SEPARATOR}{order_id}"


def split_order_key(key: str) -> tuple[str, str]:
    """(tenant, order_id) of an order key."""
    tenant, separator, order_id = key.partition(SEPARATOR)
    return (tenant, order_id) if separator else (DEFAULT_TENANT, key)


def event_hash(source: str, event_id: str) -> int:
    """The 8-byte dedup key of an event: blake2b (RFC 7693) over source, 0x1f, event_id."""
    digest = blake2b(f"{source}{SEPARATOR}{event_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def content_id(*parts: str) -> str:
    """Hash `parts` to 32 hex digits (lengths are part of the hash)."""
    text = "".join([f"{len(part)}:{part}" for part in parts])
    return blake2b(text.encode(), digest_size=16).hexdigest()


# An alert, its action and the document that shows it are made one after another.
@lru_cache(maxsize=64)
def alert_id(key: str, rule: str, anchor: int, subject: str = "") -> str:
    """Id of the alert of a rule on an order (`key`) for the anchor event with hash `anchor`."""
    return content_id("alert", key, rule, f"{anchor:016x}", subject)


def action_id(key: str, rule: str, anchor: int, kind: str) -> str:
    """Id of the action `kind`: the idempotency key for its receivers.

    The parcel is no part of it: a parcel that is renamed later requests nothing twice.
    """
    return content_id("action", key, rule, f"{anchor:016x}", kind)
