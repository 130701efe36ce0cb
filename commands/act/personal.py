"""Personal data for the action worker: opened for one attempt, each access audited before it.

The sealed values are those of the order's events in the tiers. An order with any value under an
erased key has no recipient any more.
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from concurrent.futures import TimeoutError as TooLate
from pathlib import Path
from threading import Lock
from typing import Any

import msgspec

from broker.confirm import ConfirmingProducer
from broker.produce import Record
from privacy.keys import FileKeyStore, KeyErased, KeyStore
from privacy.seal import open_event, sealed_in
from schemas.alert import Action, AuditEntry
from schemas.errors import Busy, StateError
from schemas.instants import format_instant
from schemas.keys import content_id, order_key
from schemas.order import AcceptedEvent
from schemas.topics import ORDERS_AUDIT
from sinks.actions.attempt import ActionClock
from sinks.actions.outbox import Task
from sinks.actions.recipient import NoRecipient, Personal, Recipient, recipient_in
from storage_tiering.find import timeline
from storage_tiering.pool import TierPool

AUDITED_WITHIN_S = 15.0
NOTE = "NOTE"  # comments of operators are sealed too
ERASED = "the customer's personal data was erased"


class CustomerData(Personal):
    """Opens personal data with the keys of the file `keys`; `producer` writes the audit."""

    def __init__(
        self, pool: TierPool, keys: Path, producer: ConfirmingProducer, clock: ActionClock
    ) -> None:
        """Create it with a pool, which its owner closes; the key file is opened when needed."""
        self._pool = pool
        self._path = keys
        self._producer = producer
        self._clock = clock
        self._lock = Lock()
        self._keystore: FileKeyStore | None = None

    def read(self, task: Task, action: Action, fields: AbstractSet[str]) -> Recipient:
        events = [*self._sealed(action)]
        if not events:
            return Recipient()
        keystore = self._opened()
        try:
            for key_id in {sealed["key"] for _, sealed in events}:
                check_key(key_id, keystore, self._path)
            self._audit(task, action, fields)
            return recipient_in((opened(event, keystore) for event, _ in events), fields)
        except KeyErased as erased:
            raise NoRecipient(ERASED) from erased
        except StateError as error:
            raise Busy(str(error)) from error

    def close(self) -> None:
        """Close the key file."""
        with self._lock:
            if self._keystore:
                self._keystore.close()
                self._keystore = None

    def _sealed(self, action: Action) -> Iterator[tuple[AcceptedEvent, dict[str, str]]]:
        """(event, sealed personal data) of an order, the newest first."""
        with self._pool.taken() as tiers:
            events = timeline(tiers, action.tenant, action.order_id)
        for event in reversed(events):
            if event.status == NOTE:
                continue
            if sealed := sealed_in(event.event):
                yield event, sealed

    def _opened(self) -> FileKeyStore:
        with self._lock:
            if self._keystore is None:
                if not self._path.exists():  # opening it would make one
                    raise Busy(
                        f"privacy.keys: {self._path} is missing; run this on the host of "
                        "'ordertide track', whose key file it needs"
                    )
                try:
                    self._keystore = FileKeyStore(self._path)
                except StateError as error:
                    raise Busy(str(error)) from error
            return self._keystore

    def _audit(self, task: Task, action: Action, fields: AbstractSet[str]) -> None:
        """Write the access to the audit; it is there when this returns."""
        attempt = f"{task.attempts + 1}"
        entry = AuditEntry(
            audit_id=content_id("audit", action.action_id, "personal.read", attempt),
            at=format_instant(self._clock.orders_ms()),
            what="personal.read",
            tenant=action.tenant,
            order_id=action.order_id,
            detail={
                "action_id": action.action_id,
                "kind": action.kind,
                "receiver": task.receiver,
                "fields": ", ".join(sorted(fields)),
                "attempt": attempt,
            },
            source=f"action:{task.receiver}",
        )
        key = order_key(action.tenant, action.order_id).encode()
        record = Record(key, msgspec.json.encode(entry))
        try:
            self._producer.send(ORDERS_AUDIT, [record]).result(AUDITED_WITHIN_S)
        except TooLate as late:
            raise Busy("broker: the audit of an access to personal data was not taken") from late


def check_key(key_id: str, keystore: KeyStore, path: Path) -> None:
    """Check that a key is there.

    Raises:
        KeyErased: it was erased. Busy: the file never had it, so it isn't that of `track`.
    """
    if keystore.find(key_id) is not None:
        return
    if keystore.is_erased(key_id):
        raise KeyErased(key_id)
    raise Busy(
        f"{path}: it has no key {key_id}, under which the order's data was sealed; name "
        "the key file of 'ordertide track' in privacy.keys"
    )


def opened(event: AcceptedEvent, keystore: KeyStore) -> dict[str, Any]:
    """The personal data of an event; {} for what is no object."""
    personal = open_event(bytes(event.event), keystore)
    return personal if isinstance(personal, dict) else {}
