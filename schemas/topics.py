"""The topics, their keys and what they hold."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from schemas.instants import DAY_MS, HOUR_MS

EVENTS = "events"
ORDERS_EVENTS = "orders.events"
ORDERS_CHANGES = "orders.changes"
ORDERS_ACTIONS = "orders.actions"
ORDERS_AUDIT = "orders.audit"
EVENTS_REJECTED = "events.rejected"


class TopicSettings(msgspec.Struct, frozen=True):
    """Configuration for the creation of a topic. `partitions` None: as many as the caller sets.

    `keep_ms`: retention of messages; in a compacted topic retention of a tombstone. A segment of
    the log ends at `segment_bytes` or after `segment_ms`; None: the broker's own limits.
    """

    name: str
    timestamp_type: Literal["LogAppendTime", "CreateTime"] = "LogAppendTime"
    cleanup_policy: Literal["delete", "compact"] = "delete"
    keep_ms: int = 14 * DAY_MS
    partitions: int | None = None
    segment_bytes: int | None = None
    segment_ms: int | None = None


# Brokers compact ended segments only, and end one at 1 GiB or after a week unless told otherwise.
# Until then a reader from the beginning (`serve`, `deliver`) gets every version of every order.
SEGMENT_BYTES, SEGMENT_MS = 64 * 1024 * 1024, HOUR_MS

# All of them keep append times: a create time is the wall clock of the sender, and brokers
# refuse those over an hour ahead of their own (`message.timestamp.after.max.ms`), so a host's wrong
# clock would end the flow. A reader that is away for longer than a topic is kept ends with
# `OffsetLost`. Rejected messages wait until their cause is mended; the audit is kept as
# long as the warm tier keeps.
TOPICS = (
    TopicSettings(EVENTS),
    TopicSettings(ORDERS_EVENTS),
    TopicSettings(
        ORDERS_CHANGES,
        cleanup_policy="compact",
        segment_bytes=SEGMENT_BYTES,
        segment_ms=SEGMENT_MS,
    ),
    TopicSettings(ORDERS_ACTIONS),
    TopicSettings(ORDERS_AUDIT, keep_ms=92 * DAY_MS),
    TopicSettings(EVENTS_REJECTED, keep_ms=30 * DAY_MS),
)

# Holds nothing: who owns its one partition in a flow's lease group runs the flow (`broker.lease`).
LEASE = TopicSettings("ordertide.lease", partitions=1)

# Heartbeats, for the append times in their acknowledgements: broker time (`broker.heartbeats`).
CLOCK = TopicSettings("ordertide.clock", keep_ms=HOUR_MS, partitions=1)

# The generation of each flow's state (key: its group), so that a new one is found to be higher than
# the last even where the state is lost.
GENERATIONS = TopicSettings("ordertide.generations", cleanup_policy="compact", partitions=1)

# Set while running, such as API keys and webhooks, by `KIND/ID`; a tombstone ends one
# (`gateway/control.py`).
CONTROL = TopicSettings(
    "ordertide.control",
    cleanup_policy="compact",
    partitions=1,
    segment_bytes=SEGMENT_BYTES,
    segment_ms=SEGMENT_MS,
)

# Those that only `track` uses.
OWN = (LEASE, CLOCK, GENERATIONS)

# The key of a heartbeat on orders.changes begins so; it has no value, only the clock in its header.
# It keeps the tiers' clocks going while no order changes. No order key begins with a control
# character.
CLOCK_KEY = "\x1fclock"

# Headers. `clock` rides on every message of orders.changes: the shard's stream clock in ms, so that
# the tiers expire by stream time and not by their own wall clock. `version` is on its tombstones.
HEADER_CLOCK = "clock"
HEADER_VERSION = "version"
HEADER_REASON = "reason"
HEADER_CODE = "code"
HEADER_TOPIC = "origin-topic"
HEADER_PARTITION = "origin-partition"
HEADER_OFFSET = "origin-offset"
HEADER_SHA256 = "original-sha256"
HEADER_SIZE = "original-size"

# What the engine writes beside an original in events.rejected; every other header came with it.
LETTER_HEADERS = frozenset(
    {
        HEADER_CODE,
        HEADER_REASON,
        HEADER_TOPIC,
        HEADER_PARTITION,
        HEADER_OFFSET,
        HEADER_SHA256,
        HEADER_SIZE,
    }
)


def number_in(headers: Iterable[tuple[str, bytes | None]], name: str) -> int | None:
    """The number in a message's header `name`; None without one."""
    for found, value in headers:
        if found == name and value is not None and value.isdigit():
            return int(value)
    return None
