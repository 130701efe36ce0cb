"""Subscription: events that a receiver over HTTP gets, as its record in `ordertide.control` has it.

`serve` writes the records (`webhook/ID`) and requests (`webhook-request/ID`), the action worker
writes the state of a receiver that fails (`webhook-state/ID`). Pure.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Literal, NamedTuple, TypeVar, get_args

import msgspec
from msgspec import Meta
from msgspec.json import Decoder

from schemas.instants import DAY_MS, parse_instant
from schemas.order import Lane

EventType = Literal[
    "order.created",
    "order.changed",
    "order.delivered",
    "order.retired",
    "alert.opened",
    "alert.escalated",
    "alert.resolved",
]
TYPES: tuple[EventType, ...] = get_args(EventType)
TEST = "webhook.test"
WEBHOOK, STATE, REQUEST = "webhook", "webhook-state", "webhook-request"  # kinds of control records

MOST_SUBSCRIPTIONS = 1_000
MOST_VALUES = 50  # of a field of a filter
OVERLAP_MS = DAY_MS  # a rotated secret still signs for so long

RequestKind = Literal["test", "replay", "replay_dead"]
Status = Literal["active", "failing", "paused", "disabled"]
Value = Annotated[str, Meta(min_length=1, max_length=256)]
Open = Callable[[str, str], str]  # (subscription, sealed secret) → secret
Record = TypeVar("Record")


class Facets(NamedTuple):
    """Facets of an order that filters compare."""

    tenant: str
    lane: Lane
    carrier: str | None
    supplier_id: str | None


class Filter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Orders with one of the values in each field that has some, before or after the change."""

    supplier: Annotated[tuple[Value, ...], Meta(max_length=MOST_VALUES)] = ()
    carrier: Annotated[tuple[Value, ...], Meta(max_length=MOST_VALUES)] = ()
    lane: Annotated[tuple[Lane, ...], Meta(max_length=MOST_VALUES)] = ()

    def takes(self, order: Facets) -> bool:
        """Return True for an order that has the values."""
        return (
            (not self.lane or order.lane in self.lane)
            and (not self.carrier or order.carrier in self.carrier)
            and (not self.supplier or order.supplier_id in self.supplier)
        )


class Subscription(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A subscription as it is kept; `types` empty: all of them, `tenant` None: of all tenants.

    `secret` is sealed, and so is the `former` one, which signs too until `former_until`. Changes
    before `since_at` are not sent. `active_at`: created or resumed last, which ends a disabling
    before it. `by` changed it `at` an instant.
    """

    url: str
    secret: str
    since_at: str
    active_at: str
    types: tuple[EventType, ...] = ()
    tenant: str | None = None
    filter: Filter = Filter()
    name: str = ""
    former: str = ""
    former_until: str = ""
    is_paused: bool = False
    by: str = ""
    at: str = ""
    ip: str = ""

    def is_of(self, tenant: str) -> bool:
        """Return True if orders of a tenant may be sent to it."""
        return self.tenant in {None, tenant}

    def takes(self, kind: EventType, sides: tuple[Facets, ...]) -> bool:
        """Return True for an event of an order that is, or was, one of those asked for."""
        return (not self.types or kind in self.types) and any(map(self.filter.takes, sides))

    def has_former(self, now_at: int) -> bool:
        """Return True while the former secret signs too."""
        return bool(self.former) and now_at < parse_instant(self.former_until)


class State(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """State of a receiver as the worker reports it; `failing_since` is "" for one that answers.

    `disabled_at`: the worker sends nothing more, for the `reason`, until the owner resumes it.
    """

    failing_since: str = ""
    disabled_at: str = ""
    reason: str = ""


class Request(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Request to the worker: a test event, a `delivery` again, or all dead ones of a webhook."""

    webhook: str
    kind: RequestKind
    at: str
    delivery: str = ""


RECORD, STATES, REQUESTS = Decoder(Subscription), Decoder(State), Decoder(Request)


def status_of(record: Subscription, state: State | None) -> Status:
    """Status of a subscription: that of its record and what the worker reports."""
    if record.is_paused:
        return "paused"
    if state and state.disabled_at > record.active_at:  # instants of one form
        return "disabled"
    return "failing" if state and state.failing_since else "active"


class Subscriptions:
    """Subscriptions, states and requests by their ids, as the control topic has them.

    A follower's thread replaces the mappings, which other threads read as they are at a moment.
    """

    def __init__(self) -> None:
        """Create it without any."""
        self.records: Mapping[str, Subscription] = {}
        self.states: Mapping[str, State] = {}
        self.requests: Mapping[str, Request] = {}

    def take(self, name: str, record: bytes | None) -> None:
        """Take a subscription, or its end.

        Raises:
            ValueError: it is none.
        """
        self.records = changed(self.records, name, record, RECORD)

    def take_state(self, name: str, record: bytes | None) -> None:
        """Take the state of a receiver. Raises `ValueError`: it is none."""
        self.states = changed(self.states, name, record, STATES)

    def take_request(self, name: str, record: bytes | None) -> None:
        """Take a request. Raises `ValueError`: it is none."""
        self.requests = changed(self.requests, name, record, REQUESTS)

    def status(self, name: str) -> Status:
        """Status of a subscription that there is."""
        return status_of(self.records[name], self.states.get(name))


def changed(
    held: Mapping[str, Record], name: str, record: bytes | None, decoder: Decoder[Record]
) -> Mapping[str, Record]:
    """A copy with the record, or without it where that is None."""
    if record is None:
        return {key: value for key, value in held.items() if key != name}
    return {**held, name: decoder.decode(record)}
