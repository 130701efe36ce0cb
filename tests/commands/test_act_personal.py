"""Personal data that the action worker opens: audited before, and nothing of an erased customer."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from broker.confirm import ConfirmingProducer
from broker.connect import Connection
from broker.consume import read_all
from broker.embedded import EmbeddedBroker
from commands.act.personal import CustomerData
from deploy.stack.ports import free_port
from privacy.keys import FileKeyStore
from privacy.seal import seal_event
from schemas.alert import AuditEntry
from schemas.errors import Busy
from schemas.event import Event, decode_event
from schemas.instants import DAY_MS, HOUR_MS
from schemas.topics import ORDERS_AUDIT
from sinks.actions.attempt import ActionClock
from sinks.actions.outbox import Task
from sinks.actions.recipient import NoRecipient
from storage_tiering.memory import MemoryTier
from storage_tiering.pool import TierPool
from tests.support.actions import BEGIN_AT, action
from tests.support.command import broker_with_topics
from tests.support.tiers.orders import Log, accepted, document

EMAIL = frozenset({"email"})
TASK = Task("a" * 32, "mail", "sending", 0, BEGIN_AT, BEGIN_AT, None, "", b"")


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with broker_with_topics() as running:
        yield running


class Customers:
    """A tier with one order of customer C-1, whose events are sealed in a key file."""

    def __init__(self, broker: EmbeddedBroker, folder: Path) -> None:
        self.broker = broker
        self.keys = FileKeyStore(folder / "keys.json")
        self.tier = MemoryTier(keep_ms=10_000 * DAY_MS)
        self.log = Log()
        self.tier.write_orders(self.log.changes(document("SO-1", customer_id="C-1")))
        self.producer = ConfirmingProducer(broker.connection)
        self.data = self.reading(self.producer)

    def reading(self, producer: ConfirmingProducer, keys: Path | None = None) -> CustomerData:
        """The opener of personal data, with a producer of the audit and a key file."""
        pool = TierPool(["memory"], lambda _: {"memory": self.tier})
        clock = ActionClock(lambda: BEGIN_AT, lambda: BEGIN_AT)
        return CustomerData(pool, keys or self.keys.path, producer, clock)

    def hear(self, number: int, personal: dict[str, str], status: str = "PAID") -> None:
        """Write an event as `track` does: sealed."""
        sent = {
            "event_id": f"e{number}",
            "source": "shop",
            "order_id": "SO-1",
            "customer_id": "C-1",
            "status_code": status,
            "timestamp": "2026-11-30T10:00:00Z",
            "personal": personal,
        }
        data = msgspec.json.encode(sent)
        event = decode_event(data)
        assert isinstance(event, Event)
        stored = msgspec.structs.replace(
            accepted("SO-1", f"e{number}", at=BEGIN_AT + number * HOUR_MS),
            status=status,
            event=msgspec.Raw(seal_event(data, event, self.keys)),
        )
        self.tier.write_events(self.log.events(stored))

    def audit(self) -> list[AuditEntry]:
        messages = read_all(self.broker.connection, ORDERS_AUDIT)
        found = [msgspec.json.decode(each.value or b"", type=AuditEntry) for each in messages]
        return [each for each in found if each.what == "personal.read"]

    def close(self) -> None:
        self.data.close()
        self.producer.close()
        self.keys.close()


@pytest.fixture
def customers(broker: EmbeddedBroker, tmp_path: Path) -> Iterator[Customers]:
    with closing(Customers(broker, tmp_path)) as made:
        yield made


def test_the_newest_address_is_opened_and_the_access_is_audited(customers: Customers) -> None:
    customers.hear(1, {"email": "ada@old.example", "phone": "+49"})
    customers.hear(2, {"email": "ada@new.example"})
    customers.hear(3, {"text": "a comment", "email": "operator@example.com"}, status="NOTE")
    before = len(customers.audit())
    wanted = action()
    assert customers.data.read(TASK, wanted, EMAIL).fields == {"email": "ada@new.example"}
    (entry,) = customers.audit()[before:]
    assert (entry.order_id, entry.source) == ("SO-1", "action:mail")
    assert entry.detail == {
        "action_id": wanted.action_id,
        "kind": "confirm_order",
        "receiver": "mail",
        "fields": "email",
        "attempt": "1",
    }
    assert "ada" not in msgspec.json.encode(entry).decode()


def test_nothing_of_an_erased_customer_is_opened(customers: Customers) -> None:
    customers.hear(1, {"email": "ada@example.com"})
    customers.keys.erase("default", "C-1")
    customers.hear(2, {"email": "ada@example.com"})
    before = len(customers.audit())
    with pytest.raises(NoRecipient, match="the customer's personal data was erased"):
        customers.data.read(TASK, action(), EMAIL)
    assert len(customers.audit()) == before


def test_an_order_without_personal_data_has_no_fields_and_no_access(customers: Customers) -> None:
    before = len(customers.audit())
    assert customers.data.read(TASK, action(), EMAIL).fields == {}
    assert len(customers.audit()) == before


def test_without_the_audit_nothing_is_opened(customers: Customers) -> None:
    customers.hear(1, {"email": "ada@example.com"})
    away = ConfirmingProducer(Connection(f"127.0.0.1:{free_port()}"), timeout_s=0.2)
    with closing(away), pytest.raises(Busy, match="broker: "):
        customers.reading(away).read(TASK, action(), EMAIL)


def test_another_key_file_is_named(customers: Customers, tmp_path: Path) -> None:
    customers.hear(1, {"email": "ada@example.com"})
    path = tmp_path / "other" / "keys.json"
    path.parent.mkdir()
    with closing(customers.reading(customers.producer, path)) as data:
        with pytest.raises(Busy, match=r"privacy\.keys: .*keys\.json is missing; run this on"):
            data.read(TASK, action(), EMAIL)
        assert not path.exists()
        FileKeyStore(path).close()
        with pytest.raises(Busy, match="it has no key"):
            data.read(TASK, action(), EMAIL)
