"""A gateway over an embedded broker and a tier in memory, asked without a server."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from broker.connect import Connection
from broker.embedded import EmbeddedBroker
from broker.produce import Producer
from commands.wiring.wording import alert_text
from dataflows.definition_files import read_lifecycle, read_rules
from gateway.access.access import Access
from gateway.access.caller import Caller, Role
from gateway.access.keys import KeyRecord, KeyRing, digest, id_of, new_key
from gateway.access.sessions import Sessions
from gateway.access.signing import Signer
from gateway.application import application
from gateway.live.follower import Follower
from gateway.parts import Gateway
from gateway.tier_readers import TierReaders
from schemas.order import AcceptedEvent, OrderDocument
from storage_tiering.memory import MemoryTier
from telemetry.metrics import Metrics
from tests.support.alerts import produce
from tests.support.asgi import Client
from tests.support.command import broker_with_topics
from tests.support.tiers.orders import START, Log
from tests.support.waiting import wait_until

TABLE = read_lifecycle()
RULES = read_rules(None, TABLE)
PARTS = frozenset({"api", "board", "callbacks"})


class Door:
    """A gateway with its broker and tier; `put` writes orders as track and a writer would."""

    def __init__(self, broker: EmbeddedBroker, folder: Path) -> None:
        self.broker = broker
        self.connection: Connection = broker.connection
        self.tier = MemoryTier("hot")
        self.log = Log()
        self.keys = KeyRing()
        self.producer = Producer(self.connection, linger_ms=0)
        follower = Follower(self.connection)
        self.gateway = Gateway(
            parts=PARTS,
            access=Access(self.keys, Signer(b"s" * 32), Sessions(Signer(b"s" * 32), folder)),
            follower=follower,
            tiers=TierReaders(["hot"], lambda _: {"hot": self.tier}),
            lifecycle=TABLE,
            wording={"en": alert_text(RULES, TABLE), "zh": alert_text(RULES, TABLE, "zh")},
            metrics=Metrics("serve"),
            now_ms=lambda: START,
        )
        self.app = application(self.gateway)

    def start(self) -> None:
        """Begin to follow, and wait until everything is read."""
        follower = self.gateway.follower
        follower.start()
        wait_until(lambda: follower.is_loaded, "the live view is loaded")

    def key(self, role: Role = "operator", tenant: str | None = None, party: str = "") -> str:
        """A new key of a role."""
        key = new_key()
        caller = Caller(key_id=id_of(key) or "", role=role, tenant=tenant, party=party)
        self.keys.add(KeyRecord(sha256=digest(key), caller=caller))
        return key

    def client(self, role: Role = "operator", tenant: str | None = None, party: str = "") -> Client:
        """A client with a new key of a role."""
        return Client(self.app, authorization=f"Bearer {self.key(role, tenant, party)}")

    def put(self, *orders: OrderDocument) -> None:
        """Write orders to the topic and the tier; waits until the live view has them."""
        self.tier.write_orders(self.log.changes(*orders))
        before = self.gateway.follower.changes
        produce(self.producer, *orders)
        if self.gateway.follower.is_loaded:
            wait_until(lambda: self.gateway.follower.changes >= before + len(orders), "read")

    def put_events(self, *events: AcceptedEvent) -> None:
        """Write accepted events to the tier."""
        self.tier.write_events(self.log.events(*events))

    def close(self) -> None:
        self.producer.close()
        self.gateway.follower.close()
        self.gateway.tiers.close()


@contextmanager
def open_door(folder: Path) -> Iterator[Door]:
    """A gateway without orders."""
    with broker_with_topics() as broker:
        door = Door(broker, folder)
        try:
            yield door
        finally:
            door.close()
