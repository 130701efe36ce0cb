"""Batches of a receiver's actions: which of those that are due are sent in one request.

A batch goes once it is full, or once one of its actions was accepted `wait` ago. One that failed as
a whole is kept, and sent again with the same actions. Actions of one order stand in a batch in the
sequence of their requests, and are never in two batches at a time.

Pure: tasks in, batches out.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from schemas.errors import SettingsError
from schemas.instants import MINUTE_MS, parse_duration
from schemas.keys import order_key
from schemas.type_faults import Fault, Place
from sinks.actions.outbox import Task

LONGEST_WAIT_MS = MINUTE_MS


class BatchRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Batches of a receiver: at most so many actions and bytes of a body each.

    `wait` is how long an action waits for others.
    """

    most: Annotated[int, Meta(ge=2, le=1_000)] = 100
    wait: str = "200ms"
    most_bytes: Annotated[int, Meta(ge=1_000, le=10_000_000)] = 1_000_000

    @property
    def wait_ms(self) -> int:
        """`wait` in ms."""
        return parse_duration(self.wait)


def batch_faults(row: BatchRow, place: Place) -> Iterator[Fault]:
    """Faults of a row whose values have the right types."""
    try:
        wait_ms = row.wait_ms
    except SettingsError as error:
        yield Fault((*place, "wait"), str(error).removeprefix("duration: "))
        return
    if wait_ms > LONGEST_WAIT_MS:
        yield Fault((*place, "wait"), f"{row.wait} is over a minute; write 1m or less, like 200ms")


class Requested(msgspec.Struct, frozen=True):
    """An action, as far as its place in a batch depends on it."""

    action_id: str
    tenant: str
    order_id: str
    at: str


REQUESTED = msgspec.json.Decoder(Requested)


def orders_of(tasks: Iterable[Task]) -> set[str]:
    """Keys of the orders of some actions."""
    requested = (REQUESTED.decode(task.value) for task in tasks)
    return {order_key(each.tenant, each.order_id) for each in requested}


def place_of(task: Task) -> tuple[str, str]:
    """Place of an action among others: by when it was requested."""
    requested = REQUESTED.decode(task.value)
    return requested.at, requested.action_id


class Batch(NamedTuple):
    """Actions of one request; `name` is that of a batch that was kept, which is sent again."""

    name: str | None
    tasks: list[Task]

    def named(self, name: str) -> list[Task]:
        """Its actions under its name; a new one is named `name`."""
        return [task._replace(batch=self.name or name) for task in self.tasks]


def batches_of(
    due: Sequence[Task], row: BatchRow, room: int, now_at: int, busy: AbstractSet[str]
) -> list[Batch]:
    """Batches of the actions that are due at `now_at` (wall clock, ms), `room` at most.

    `busy` are the orders of batches under way. What is left out waits.
    """
    kept, free = divided(due, row.most)
    busy = set(busy)
    formed = []
    for batch in kept:
        orders = orders_of(batch.tasks)
        if not orders & busy:
            formed.append(batch)
        busy |= orders  # later actions of an order wait behind those that wait
    for tasks in groups_of(free, row.most, busy):
        is_late = any(task.accepted_at <= now_at - row.wait_ms for task in tasks)
        if is_late or len(tasks) == row.most:
            formed.append(Batch(None, tasks))
    return [each._replace(tasks=sorted(each.tasks, key=place_of)) for each in formed[:room]]


def divided(due: Sequence[Task], most: int) -> tuple[list[Batch], list[Task]]:
    """Batches that were kept, and all other actions; one that is too large by now is dissolved."""
    kept = defaultdict[str, list[Task]](list)
    for task in due:
        if task.batch:
            kept[task.batch].append(task)
    batches = [Batch(name, tasks) for name, tasks in kept.items() if len(tasks) <= most]
    names = {batch.name for batch in batches}
    return batches, [task for task in due if task.batch is None or task.batch not in names]


def groups_of(tasks: Iterable[Task], most: int, busy: AbstractSet[str]) -> Iterator[list[Task]]:
    """Groups of actions, each of orders that are neither `busy` nor in an earlier group."""
    busy, group, members = set(busy), list[Task](), set[str]()
    for task in tasks:
        orders = orders_of([task])
        if orders & busy:
            continue
        group.append(task)
        members |= orders
        if len(group) == most:
            yield group
            busy |= members
            group, members = [], set()
    if group:
        yield group
