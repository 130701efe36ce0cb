"""Changes of orders for the board: appended as documents, or made by `track` of events.

Each is timed from when it was due, at a fixed rate, until the board has painted its card.
"""

import itertools
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from benchmarks.board_page import Painted
from benchmarks.scenario_installation import PARTITIONS, ScenarioInstallation
from broker.consume import read_all
from broker.fetcher import Headers
from broker.produce import Producer
from commands.demo.feed import SEED, tick
from commands.wiring.process import now_ms
from schemas import topics
from schemas.instants import format_instant
from schemas.order import OrderDocument

CHANGES_PER_S = 200
SHOWN_SHARE = 0.1  # of the changes, those of cards that the board shows
TICK_EVERY_S = 0.2
NEVER = 1 << 53  # a version that no order reaches
CLOCK = topics.CLOCK_KEY.encode()
DOCUMENT = msgspec.json.Decoder(OrderDocument)


class Change(NamedTuple):
    """A change of an order: its key, its version, and when it was to be made (ms since 1970)."""

    key: str
    version: int
    at_ms: float


Made = Callable[[], list[Change]]  # what was made, once all of it is there


def send_tick(producer: Producer, at: int) -> None:
    """Write the stream's time to each partition."""
    value = msgspec.json.encode(tick(at)[3])
    for partition in range(PARTITIONS):
        producer.send(topics.EVENTS, None, value, partition=partition)


def latest_documents(installation: ScenarioInstallation) -> dict[str, OrderDocument]:
    """The documents of all live orders by key."""
    found: dict[str, OrderDocument] = {}
    for message in read_all(installation.connection, topics.ORDERS_CHANGES):
        key = (message.key or b"").decode()
        if message.value is None:
            found.pop(key, None)
        elif not key.startswith(topics.CLOCK_KEY):
            found[key] = DOCUMENT.decode(message.value)
    return found


def drawn(shown: Sequence[str], others: Sequence[str], count: int) -> Iterator[str]:
    """Keys of the orders that change: some of the cards shown, in turn, among all others."""
    chance, cards = random.Random(SEED), itertools.cycle(shown)
    for _ in range(count):
        yield next(cards) if chance.random() < SHOWN_SHARE else chance.choice(others)


def at_rate(keys: Iterator[str], act: Callable[[str, float], None]) -> None:
    """Call `act` with each key and when it is due (s since 1970), at the rate of changes."""
    began_s = time.time()
    for number, key in enumerate(keys):
        due_s = began_s + number / CHANGES_PER_S
        time.sleep(max(due_s - time.time(), 0))
        act(key, due_s)


def append_documents(
    producer: Producer, documents: dict[str, OrderDocument], keys: Iterator[str]
) -> Made:
    """Append the orders' documents with their next versions to `orders.changes`."""
    found: list[Change] = []

    def append(key: str, due_s: float) -> None:
        old = documents[key]
        documents[key] = new = msgspec.structs.replace(old, version=old.version + 1)
        clock: Headers = [(topics.HEADER_CLOCK, b"%d" % now_ms())]
        producer.send(topics.ORDERS_CHANGES, key.encode(), msgspec.json.encode(new), clock)
        found.append(Change(key, new.version, due_s * 1e3))

    at_rate(keys, append)
    return lambda: found


def send_events(
    installation: ScenarioInstallation, producer: Producer, keys: Iterator[str]
) -> Made:
    """Write a NOTE of each order to `events`, of which `track` makes changes."""
    sent: list[tuple[str, float]] = []
    ticked_s = 0.0

    def send(key: str, due_s: float) -> None:
        nonlocal ticked_s
        event = {
            "event_id": f"note-{now_ms()}-{len(sent)}",
            "source": "benchmark",
            "order_id": key,
            "status_code": "NOTE",
            "timestamp": format_instant(int(due_s * 1e3)),
        }
        producer.send(topics.EVENTS, key.encode(), msgspec.json.encode(event))
        sent.append((key, due_s * 1e3))
        if due_s - ticked_s >= TICK_EVERY_S:
            ticked_s = due_s
            send_tick(producer, int(due_s * 1e3))

    at_rate(keys, send)
    producer.flush()
    return partial(changes_of, installation, sent)


def changes_of(
    installation: ScenarioInstallation, sent: Sequence[tuple[str, float]]
) -> list[Change]:
    """The changes that `track` made of events, from (order, when it was due in ms)."""
    installation.drain()
    appended: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for message in read_all(installation.connection, topics.ORDERS_CHANGES):
        if message.value is not None and not (message.key or b"").startswith(CLOCK):
            version = DOCUMENT.decode(message.value).version
            appended[(message.key or b"").decode()].append((message.timestamp_ms, version))
    found: list[Change] = []
    for key, at_ms in sent:
        later = [version for append_ms, version in appended[key] if append_ms >= at_ms]
        found.append(Change(key, min(later), at_ms) if later else Change(key, NEVER, at_ms))
    return found


def latencies(changes: Iterable[Change], seen: Iterable[Painted]) -> tuple[list[float], int]:
    """(ms of each change until its card was painted, ascending; changes never painted).

    A card that shows a later version shows the change too.
    """
    painted_of: dict[str, list[Painted]] = defaultdict(list)
    for each in seen:
        painted_of[each.key].append(each)
    found: list[float] = []
    unseen = 0
    for change in changes:
        paints = painted_of[change.key]
        first = next((each for each in paints if each.version >= change.version), None)
        if first:
            found.append(first.at_ms - change.at_ms)
        else:
            unseen += 1
    return sorted(found), unseen
