"""The places that may hold records of a customer: state, topics, tiers."""

import logging
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar, get_args

import msgspec

from broker.connect import Connection
from broker.consume import Message, read_all
from broker.errors import TopicMissing
from commands.state.contents import from_last_base, holds_numbers, parts, read_orders
from commands.state.export import judge_of, stored_orders
from commands.state.files import STORE, open_files
from commands.wiring.broker import connection_of
from commands.wiring.definitions import lifecycle_of, rules_of
from commands.wiring.tiers import all_tiers, written_tiers
from dataflows.steps import decode_resolver
from privacy.search import Search
from schemas import topics
from schemas.cloudevents import read_message
from schemas.display import printable
from schemas.errors import OrdertideError, Rejected
from schemas.event import Event, Tick
from schemas.keys import split_order_key
from schemas.order import AcceptedEvent, OrderDocument
from schemas.outcomes import OutcomeKind, OutcomeQuery
from schemas.settings.model import Settings
from schemas.settings.secrets import masked_text
from storage_tiering.records import outcome_of
from storage_tiering.tier import Customers, Outcomes, Tier

DOCUMENT = msgspec.json.Decoder(OrderDocument)
ACCEPTED = msgspec.json.Decoder(AcceptedEvent)

LOGGER = logging.getLogger("ordertide.privacy")

Value = TypeVar("Value")
Look = Callable[[], None]


class Looker:
    """Search of every place of an installation; an unavailable place is recorded as a fault."""

    def __init__(self, settings: Settings, search: Search) -> None:
        """Create a looker over what the settings name."""
        self.settings = settings
        self.search = search
        self.connection: Connection = connection_of(settings.broker)

    def look(self) -> None:
        """Find the customer's orders, then everything that belongs to them."""
        tiers = self.tiers()
        self.at("state", self.orders_in_state)
        for topic, of_message in self.orders_in_topics.items():
            self.at(topic, partial(self.each, topic, of_message))
        for name, tier in tiers.items():
            self.at(name, partial(self.orders_in_tier, tier))
        self.at("state", self.records_in_state)
        for name, tier in tiers.items():
            self.at(name, partial(self.records_in_tier, name, tier))
            tier.close()
        for topic, of_message in self.records_in_topics.items():
            self.at(topic, partial(self.each, topic, of_message))

    def at(self, place: str, look: Look) -> None:
        """Search a place, unless it was unavailable before."""
        found = self.search.at(place)
        if found.fault is None:
            try:
                look()
            except OrdertideError as error:
                found.fault = printable(masked_text(str(error)))

    def tiers(self) -> dict[str, Tier]:
        """The tiers; one that can't be opened is an unavailable place."""
        try:
            return written_tiers(self.settings, all_tiers(self.settings))
        except OrdertideError as error:
            self.search.at("tiers").fault = printable(masked_text(str(error)))
            return {}

    # ------------------------------------------------------------------ topics
    @property
    def orders_in_topics(self) -> dict[str, Callable[[Message], None]]:
        """First pass, by topic."""
        return {
            topics.ORDERS_CHANGES: self.order_of_change,
            topics.ORDERS_EVENTS: self.order_of_accepted,
            topics.EVENTS: self.order_of_event,
        }

    @property
    def records_in_topics(self) -> dict[str, Callable[[Message], None]]:
        """Second pass, by topic: the dead letters last, when all numbers are known."""
        return {
            topics.ORDERS_CHANGES: self.change,
            topics.ORDERS_EVENTS: self.accepted,
            topics.ORDERS_AUDIT: partial(self.outcome, topics.ORDERS_AUDIT, "audit"),
            topics.ORDERS_ACTIONS: partial(self.outcome, topics.ORDERS_ACTIONS, "actions"),
            topics.EVENTS: self.event,
            topics.EVENTS_REJECTED: self.dead_letter,
        }

    def each(self, topic: str, of_message: Callable[[Message], None]) -> None:
        """Every message of a topic as it is now."""
        try:
            for message in read_all(self.connection, topic):
                if message.value:
                    of_message(message)
        except TopicMissing:
            return  # nothing was ever written to it

    def order_of_change(self, message: Message) -> None:
        """The order of a document."""
        if document := decoded(DOCUMENT, message.value):
            self.search.order(document.tenant, document.customer_id, document.order_id)

    def order_of_accepted(self, message: Message) -> None:
        """The order that an accepted event was given to."""
        if accepted := decoded(ACCEPTED, message.value):
            self.order_of(accepted)

    def order_of(self, accepted: AcceptedEvent) -> None:
        """As above."""
        named = msgspec.json.decode(accepted.event, type=CustomerOf)
        self.search.order(accepted.tenant, named.customer_id, accepted.order_id)

    def order_of_event(self, message: Message) -> None:
        """The order that an event names."""
        if read := read_or_none(message):
            event = read[0]
            if not isinstance(event, Tick):
                self.search.order(event.tenant, event.customer_id, event.order_id)

    def change(self, message: Message) -> None:
        """A document."""
        if document := decoded(DOCUMENT, message.value):
            self.document(topics.ORDERS_CHANGES, document)

    def document(self, place: str, document: OrderDocument) -> None:
        """A document of a place."""
        search = self.search
        if document.tenant == search.tenant:
            is_hers = document.customer_id == search.customer
            search.document(place, document.order_id, document.references, is_hers=is_hers)

    def accepted(self, message: Message) -> None:
        """An accepted event."""
        if accepted := decoded(ACCEPTED, message.value):
            self.search.event(topics.ORDERS_EVENTS, bytes(accepted.event), accepted.order_id)

    def outcome(self, topic: str, kind: OutcomeKind, message: Message) -> None:
        """An audit entry or action."""
        try:
            outcome = outcome_of(kind, message.value or b"")
        except (ValueError, RecursionError):
            return  # a writer would refuse it
        self.search.outcome(topic, outcome.tenant, outcome.order_id)

    def event(self, message: Message) -> None:
        """An event as it came."""
        if read := read_or_none(message):
            self.search.event(topics.EVENTS, read[1])
        else:
            self.search.original(topics.EVENTS, message.value or b"", message.headers)

    def dead_letter(self, message: Message) -> None:
        """A dead letter."""
        self.search.original(topics.EVENTS_REJECTED, message.value or b"", message.headers)

    # ------------------------------------------------------------------ tiers
    def orders_in_tier(self, tier: Tier) -> None:
        """The customer's orders in a tier, where it supports the query."""
        if isinstance(tier, Customers):
            self.search.orders.update(tier.orders_of(self.search.tenant, self.search.customer))

    def records_in_tier(self, name: str, tier: Tier) -> None:
        """A tier's records of the orders."""
        for order_id in sorted(self.search.orders):
            found = tier.find(self.search.tenant, order_id)
            if found:
                self.document(name, found.document)
                for event in found.timeline:
                    self.search.event(name, bytes(event.event), order_id)
            if isinstance(tier, Outcomes):
                self.outcomes_in_tier(name, tier, order_id)

    def outcomes_in_tier(self, name: str, tier: Outcomes, order_id: str) -> None:
        """A tier's audit entries and actions of an order."""
        for kind in get_args(OutcomeKind):
            query = OutcomeQuery(kind=kind, tenant=self.search.tenant, order_id=order_id)
            for outcome in tier.outcomes(query):
                self.search.outcome(name, outcome.tenant, outcome.order_id)

    # ------------------------------------------------------------------ state
    def orders_in_state(self) -> None:
        """The orders of the state that are the customer's."""
        for document in self.documents():
            self.search.order(document.tenant, document.customer_id, document.order_id)

    def records_in_state(self) -> None:
        """The state's records: documents, and events that wait for a number or the watermark."""
        for document in self.documents():
            self.document("state", document)
        for data in self.waiting():
            self.search.event("state", data)

    def documents(self) -> Iterator[OrderDocument]:
        """The orders of the state, live and retired, that may be the customer's."""
        if not self.has_state():
            return
        table = lifecycle_of(self.settings)
        rules = rules_of(self.settings, table)
        name, orders = self.search.customer.encode(), self.search.orders
        with open_files(self.settings, None) as files:
            for shard in files.reader.shards():
                links = [] if holds_numbers(shard) else files.resumed(shard)
                if not from_last_base(links):
                    continue
                held, last = read_orders(files.reader, shard, links)
                judge = judge_of(last, table, rules, files.reader.generation)
                for stored in stored_orders(
                    files, shard, held, links[-1].sequence, only_retired=None
                ):
                    # Unpacked is what names the customer, or was found by another record.
                    is_theirs = name in stored.data or split_order_key(stored.key)[1] in orders
                    data = judge.document(stored.key, stored.data) if is_theirs else None
                    if data is not None:
                        yield DOCUMENT.decode(data)

    def waiting(self) -> Iterator[bytes]:
        """The events of the resolver that wait, as they are kept."""
        if not self.has_state():
            return
        with open_files(self.settings, None) as files:
            for shard in filter(holds_numbers, files.reader.shards()):
                links = files.resumed(shard)
                if from_last_base(links):
                    for part in parts(files.reader, shard, links, decode_resolver):
                        for questions in (*(some for _, some in part.waiting), part.questions):
                            yield from (asked.fact.raw for asked in questions)

    def has_state(self) -> bool:
        """Return True if there is a state file here."""
        return (Path(self.settings.track.folder) / STORE).exists()


def read_or_none(message: Message) -> tuple[Event | Tick, bytes] | None:
    """The event of a message; None for what is a dead letter by now, or soon."""
    try:
        return read_message(message.value or b"", message.headers)
    except Rejected:
        return None
    except Exception:
        # The door makes a dead letter of it (`internal_fault`); it ends no erasure either.
        LOGGER.exception("%s [%d] %d", message.topic, message.partition, message.offset)
        return None


class CustomerOf(msgspec.Struct):
    """The customer that an event names."""

    customer_id: str | None = None


def decoded(decoder: msgspec.json.Decoder[Value], value: bytes | None) -> Value | None:
    """The value; None for one that a writer would refuse."""
    try:
        return decoder.decode(value or b"")
    except (ValueError, RecursionError):
        return None
