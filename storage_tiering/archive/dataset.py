"""Datasets of the archive: the key of a row in each, and the rule that chooses between two rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import pyarrow as pa

from schemas.keys import order_key
from storage_tiering.archive.columns import (
    EVENT_COLUMNS,
    ORDER_COLUMNS,
    OUTCOME_COLUMNS,
    event_table,
    order_table,
    outcome_table,
)
from storage_tiering.tier import EventRecord, OrderRecord, OutcomeRecord

Record = TypeVar("Record", OrderRecord, EventRecord, OutcomeRecord)
Identity = tuple[str, str]


@dataclass(frozen=True)
class Dataset(Generic[Record]):
    """One kind of record.

    Of records with one `identity` the one with the highest `rank` stays, of equals the first.
    `at` is the instant (ms) that files are compared by: the same thing always has the same.
    `arrival` is the instant (ms) whose day a file lies in. From `columns` of a sealed row `held`
    makes its identity and rank. Merged rows are sorted by the columns `order`.
    """

    identity: Callable[[Record], Identity]
    rank: Callable[[Record], int]
    at: Callable[[Record], int]
    arrival: Callable[[Record], int]
    schema: pa.Schema
    order: tuple[str, ...]
    table: Callable[[Sequence[Record]], pa.Table]
    columns: tuple[str, ...]
    held: Callable[..., tuple[Identity, int]]


def _event_identity(record: EventRecord) -> Identity:
    return record.key, record.event.event_hash


def _equal_rank(_record: EventRecord | OutcomeRecord) -> int:
    return 0


def _event_at(record: EventRecord) -> int:
    return record.arrival_at


def _held_once(tenant: str, order_id: str, name: str) -> tuple[Identity, int]:
    return (order_key(tenant, order_id), name), 0


def _order_identity(record: OrderRecord) -> Identity:
    return record.key, ""


def _order_rank(record: OrderRecord) -> int:
    return record.version or 0


def _order_at(record: OrderRecord) -> int:
    return record.changed_at


def _held_order(tenant: str, order_id: str, version: int) -> tuple[Identity, int]:
    return (order_key(tenant, order_id), ""), version


def _order_arrival(record: OrderRecord) -> int:
    """The stream clock: arrivals up to it are in the order."""
    return record.changed_at if record.clock_at is None else record.clock_at


def _outcome_identity(record: OutcomeRecord) -> Identity:
    return record.key, record.id


def _outcome_at(record: OutcomeRecord) -> int:
    return record.at


EVENTS: Dataset[EventRecord] = Dataset(
    identity=_event_identity,
    rank=_equal_rank,
    at=_event_at,
    arrival=_event_at,
    schema=EVENT_COLUMNS,
    order=("order_id", "tenant", "arrival_at", "event_hash"),
    table=event_table,
    columns=("tenant", "order_id", "event_hash"),
    held=_held_once,
)
ORDERS: Dataset[OrderRecord] = Dataset(
    identity=_order_identity,
    rank=_order_rank,
    at=_order_at,
    arrival=_order_arrival,
    schema=ORDER_COLUMNS,
    order=("order_id", "tenant", "order_version"),
    table=order_table,
    columns=("tenant", "order_id", "order_version"),
    held=_held_order,
)
OUTCOMES: Dataset[OutcomeRecord] = Dataset(
    identity=_outcome_identity,
    rank=_equal_rank,
    at=_outcome_at,
    arrival=_outcome_at,
    schema=OUTCOME_COLUMNS,
    order=("order_id", "tenant", "outcome_at", "outcome_id"),
    table=outcome_table,
    columns=("tenant", "order_id", "outcome_id"),
    held=_held_once,
)
