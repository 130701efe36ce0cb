"""The topics, their keys and what they hold."""

from typing import Literal

import msgspec

EVENTS = "events"
ORDERS_EVENTS = "orders.events"
ORDERS_CHANGES = "orders.changes"
ORDERS_ACTIONS = "orders.actions"
ORDERS_AUDIT = "orders.audit"
EVENTS_REJECTED = "events.rejected"


class TopicSettings(msgspec.Struct, frozen=True):
    """How a topic is to be created."""

    name: str
    timestamp_type: Literal["LogAppendTime", "CreateTime"] = "CreateTime"
    cleanup_policy: Literal["delete", "compact"] = "delete"


TOPICS = (
    TopicSettings(EVENTS, timestamp_type="LogAppendTime"),
    TopicSettings(ORDERS_EVENTS),
    TopicSettings(ORDERS_CHANGES, cleanup_policy="compact"),
    TopicSettings(ORDERS_ACTIONS),
    TopicSettings(ORDERS_AUDIT),
    TopicSettings(EVENTS_REJECTED),
)

# The key of a heartbeat on orders.changes begins so; it has no value, only the clock in its header.
# It keeps the tiers' clocks going while no order changes. No order key begins with a control
# character.
CLOCK_KEY = "\x1fclock"

# Headers. `clock` rides on every message of orders.changes: the shard's stream clock in ms, so that
# the tiers expire by stream time and not by their own wall clock.
HEADER_CLOCK = "clock"
HEADER_VERSION = "version"
HEADER_REASON = "reason"
HEADER_CODE = "code"
HEADER_TOPIC = "origin-topic"
HEADER_PARTITION = "origin-partition"
HEADER_OFFSET = "origin-offset"
HEADER_SHA256 = "original-sha256"
HEADER_SIZE = "original-size"
