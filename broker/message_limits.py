"""Limits on the size of a message: the producer's own and `max.message.bytes` of each topic.

A message over the broker's limit fails after it was sent, and aborts the whole transaction with it.
So its size is checked before, against the last known limit.
"""

import time

from confluent_kafka import KafkaException
from confluent_kafka.admin import ConfigResource, ResourceType

from broker.clients import Admin
from broker.connect import Connection
from broker.errors import worded
from broker.fetcher import Headers
from broker.outage import OUTAGE

SETTING = "max.message.bytes"
ANSWER_TIMEOUT_S = 5.0
ASK_EVERY_S = 60.0
# Kafka's record batch and record (KIP-98), every varint at its longest; and lz4 makes what can't be
# compressed larger by 1/255.
BATCH_BYTES = 61
RECORD_BYTES = 40
HEADER_BYTES = 10
LZ4_GROWTH = 1.004


class MessageLimits:
    """Limits of some topics, refreshed once a minute; without an answer the last ones count."""

    def __init__(self, connection: Connection, topics: list[str]) -> None:
        """Query the limits for the first time. An embedded broker has no limits of its own."""
        self._topics = topics
        self._connection = connection
        self._limits: dict[str, int] = {}
        self._asked_at_s: float | None = None
        self.refresh()

    def of(self, topic: str) -> int | None:
        """The largest batch of a topic in bytes; None where the broker doesn't report one."""
        return self._limits.get(topic)

    @property
    def smallest(self) -> int | None:
        """The smallest limit of all; None without any."""
        return min(self._limits.values(), default=None)

    def refresh(self) -> None:
        """Query the limits again, at most once a minute."""
        is_due = self._asked_at_s is None or time.monotonic() - self._asked_at_s >= ASK_EVERY_S
        if self._connection.embedded or not is_due:
            return
        self._asked_at_s = time.monotonic()
        resources = [ConfigResource(ResourceType.TOPIC, topic) for topic in self._topics]
        with Admin(self._connection.config("admin")) as admin:
            answers = admin.client.describe_configs(resources, request_timeout=ANSWER_TIMEOUT_S)
            for resource, answer in answers.items():
                try:
                    setting = answer.result(ANSWER_TIMEOUT_S)[SETTING]
                    self._limits[resource.name] = int(setting.value)
                except (KafkaException, TimeoutError) as error:
                    OUTAGE.failed(
                        f"topic {resource.name}: {SETTING} could not be read ({worded(error)})"
                    )


def record_bytes(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    """The size of a message alone in a batch, at most."""
    named = sum(len(name.encode()) + len(text or b"") + HEADER_BYTES for name, text in headers)
    payload = len(key or b"") + len(value or b"") + named
    return int((BATCH_BYTES + RECORD_BYTES + payload) * LZ4_GROWTH)
