"""A gateway over an embedded broker and a tier in memory, asked without a server."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from broker.confirm import ConfirmingProducer
from broker.connect import Connection
from broker.consume import read_all
from broker.embedded import EmbeddedBroker
from broker.fetcher import Message
from broker.produce import Producer
from commands.wiring.process import now_ms
from commands.wiring.wording import alert_text
from dataflows.core.intake import Intake
from dataflows.definition_files import read_lifecycle, read_rules
from gateway.access.access import Access
from gateway.access.caller import Caller, Role
from gateway.access.keys import API_KEY, KeyRecord, KeyRing, digest, id_of, new_key
from gateway.access.sessions import Sessions
from gateway.access.shares import Shares
from gateway.access.signing import Signer
from gateway.api.callbacks import accounts_of
from gateway.api.commands import allowed_by
from gateway.application import application
from gateway.claims import Claims
from gateway.control import Control
from gateway.dead_letters import Originals
from gateway.idempotency import Idempotency
from gateway.ingest import Ingest
from gateway.limits import RATES, Limits
from gateway.live.follower import Follower
from gateway.live.hub import Hub
from gateway.operations.letters import REPLAYED
from gateway.operations.operations import Operations
from gateway.parts import Gateway
from gateway.tier_readers import TierReaders
from gateway.unsubscribing import REFUSAL, Refusals
from gateway.verdicts import Verdicts
from gateway.webhooks import Webhooks, WebhookSecrets, takers_of
from schemas.alert_notes import ALERT, AlertNotes
from schemas.order import AcceptedEvent, OrderDocument
from schemas.topics import EVENTS, ORDERS_ACTIONS, ORDERS_CHANGES, ORDERS_EVENTS
from sinks.actions.channels.addresses import Allowed
from sinks.subscriptions.subscription import Subscriptions
from storage_tiering.memory import MemoryTier
from telemetry.metrics import Metrics
from tests.support.alerts import produce
from tests.support.asgi import Client
from tests.support.tiers.orders import START, Log
from tests.support.waiting import wait_until

TABLE = read_lifecycle()
RULES = read_rules(None, TABLE)
TIMEOUT_S = 5.0
SF_TOKEN, REST_TOKEN = "a-long-random-token", "another-long-random-token"
ACCOUNTS = {
    "sf.main.token": SF_TOKEN,
    "rest.depot.token": REST_TOKEN,
    "rest.depot.statuses.arrived": "IN_TRANSIT",
    "kuaidi100.main.salt": "a salt",
}
GROUPS = {
    "track": ("ordertide", (EVENTS,)),
    "write hot": ("ordertide-write-hot", (ORDERS_CHANGES, ORDERS_EVENTS)),
    "deliver": ("ordertide-deliver", (ORDERS_CHANGES,)),
    "act": ("ordertide-act", (ORDERS_ACTIONS,)),
}
PARTS = frozenset({"api", "board", "callbacks"})


def resolved(host: str, _port: int) -> list[str]:
    """Addresses of made-up hosts, without a name server: `inside.example` is in a private net."""
    return {"inside.example": ["10.0.0.7"], "shop.example": ["93.184.216.34"]}.get(host, [host])


def webhooks_in(folder: Path) -> Webhooks:
    """No subscriptions, whose deliveries would lie in a folder."""
    return Webhooks(
        subscriptions=Subscriptions(),
        secrets=WebhookSecrets(b"s" * 32),
        allowed=Allowed("127.0.0.1", resolve=resolved, has_own=False),
        deliveries=folder / "deliveries.sqlite",
    )


class Door:
    """A gateway with its broker and tier; `put` writes orders as track and a writer would."""

    def __init__(
        self,
        connection: Connection,
        folder: Path,
        producer: ConfirmingProducer | None = None,
        claims: Claims | None = None,
    ) -> None:
        self.connection = connection
        self.tier = MemoryTier("hot")
        self.log = Log()
        self.keys = KeyRing()
        self.now_ms = START
        self.untold: list[OrderDocument] = []  # written to the topic once somebody follows it
        self.producer = producer or ConfirmingProducer(self.connection, TIMEOUT_S)
        hub, notes = Hub(), AlertNotes()
        webhooks = webhooks_in(folder)
        refusals = Refusals(b"s" * 32)
        follower = Follower(self.connection, hub=hub)
        operations = Operations(
            self.connection,
            GROUPS,
            targets=folder / "targets",
            outbox=folder / "outbox.sqlite",
            deliveries=folder / "deliveries.sqlite",
            look_every_s=0.0,
            now_ms=now_ms,
        )
        takers = {API_KEY: self.keys.take, ALERT: notes.take, REPLAYED: operations.replays.take}
        takers |= {REFUSAL: refusals.take, **takers_of(webhooks.subscriptions)}
        self.gateway = Gateway(
            parts=PARTS,
            access=Access(self.keys, Signer(b"s" * 32), Sessions(Signer(b"s" * 32), folder)),
            follower=follower,
            tiers=TierReaders(["hot"], lambda _: {"hot": self.tier}),
            ingest=Ingest(self.producer, Intake(TABLE, RULES), lambda: self.now_ms),
            lifecycle=TABLE,
            rules=RULES,
            wording={"en": alert_text(RULES, TABLE), "zh": alert_text(RULES, TABLE, "zh")},
            hub=hub,
            notes=notes,
            control=Control(self.connection, self.producer, takers),
            operations=operations,
            webhooks=webhooks,
            refusals=refusals,
            limits=Limits(dict.fromkeys(RATES, "10000 per 1 second")),
            metrics=Metrics("serve"),
            now_ms=lambda: self.now_ms,
            shares=Shares(b"s" * 32),
            verdicts=Verdicts(self.connection),
            commands=allowed_by({}, TABLE),
            originals=Originals(folder / "keys.json"),
            idempotency=Idempotency(b"s" * 32, claims),
            accounts=accounts_of(ACCOUNTS),
        )
        self.app = application(self.gateway)

    def start(self) -> None:
        """Begin to follow, and wait until everything is read."""
        follower = self.gateway.follower
        self.produce(self.untold)
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
        """Write orders to the tier and the topic; waits until the live view has them."""
        self.tier.write_orders(self.log.changes(*orders))
        follower = self.gateway.follower
        if not follower.is_loaded:
            self.untold += orders
            return
        before = follower.changes
        self.produce(orders)
        wait_until(lambda: follower.changes >= before + len(orders), "the orders are read")

    def produce(self, orders: Sequence[OrderDocument]) -> None:
        """Write orders to the topic as track does."""
        if orders:
            with Producer(self.connection, linger_ms=0) as producer:
                produce(producer, *orders)

    def events(self) -> list[Message]:
        """Messages in the topic `events`."""
        return list(read_all(self.connection, EVENTS))

    def put_events(self, *events: AcceptedEvent) -> None:
        """Write accepted events to the tier."""
        self.tier.write_events(self.log.events(*events))

    def close(self) -> None:
        self.gateway.follower.close()
        self.gateway.control.close()
        self.gateway.verdicts.close()
        self.gateway.tiers.close()
        self.gateway.ingest.close()
        self.gateway.idempotency.close()


class EmbeddedDoor(Door):
    """A gateway over an embedded broker of its own."""

    def __init__(self, broker: EmbeddedBroker, folder: Path) -> None:
        super().__init__(broker.connection, folder)
        self.broker = broker


@contextmanager
def open_door(folder: Path) -> Iterator[EmbeddedDoor]:
    """A gateway without orders."""
    with EmbeddedBroker() as broker:  # topics are created on first use
        door = EmbeddedDoor(broker, folder)
        try:
            yield door
        finally:
            door.close()
