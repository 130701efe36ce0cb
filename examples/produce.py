"""Events from a file into Kafka's topic `events`, as a shop's own producer would write them.

Live, an event arrives when the broker appends it. With `--until TIME` it is history that brings its
own clock (`[track] clock = "recorded"`): events in the order of their arrival, and for each day of
it a tick to every partition: everything up to then has been written. Then `--per-s N` leaves the
engine time to take each day for itself, as it had when it was lived.

Run it: `python -m examples.produce HOST:PORT < events.ndjson`.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Self

from confluent_kafka import KafkaError, Message, Producer

TOPIC = "events"
TICK_EVERY = timedelta(days=1)
WAIT_S = 60


class Losses:
    """Events that the broker didn't take: an ignored error is a lost event.

    An object of its own, as a producer whose callback refers to its owner is in a reference cycle.
    """

    def __init__(self) -> None:
        self.count = 0

    def delivered(self, error: KafkaError | None, message: Message) -> None:
        """Count what failed."""
        if error is not None:
            self.count += 1
            sys.stderr.write(f"not delivered: {error.str()}: {message.value()!r}\n")


class Feed:
    """Writes events; an order's go to one partition, so that they stay in their order."""

    def __init__(self, bootstrap: str, per_s: int) -> None:
        self.losses = Losses()
        self.producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "compression.type": "lz4",
                "partitioner": "murmur2_random",  # as Java's producers choose
                "on_delivery": self.losses.delivered,
            }
        )
        self.partitions = self.count_partitions()
        self.per_s = per_s
        self.begun_s = time.monotonic()
        self.sent = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.producer.close()

    def count_partitions(self) -> int:
        """Number of partitions of the topic; `ordertide track` creates it when it starts."""
        deadline_s = time.monotonic() + WAIT_S
        while True:
            topic = self.producer.list_topics(TOPIC, timeout=10).topics[TOPIC]
            if topic.error is None:
                return len(topic.partitions)
            if time.monotonic() > deadline_s:
                sys.exit(
                    f"topic {TOPIC}: {topic.error.str()}; start `ordertide track`, which makes it"
                )
            time.sleep(1)

    def send(self, event: dict[str, Any]) -> None:
        """Write one event, with the order (else the waybill) as its key."""
        key = event.get("order_id") or event.get("waybill")
        self.put(event, key=key)
        self.sent += 1
        if self.sent % 100 == 0:
            self.producer.poll(0)
            time.sleep(max(0.0, self.begun_s + self.sent / self.per_s - time.monotonic()))

    def tick(self, at: datetime) -> None:
        """Send a tick to every partition: everything up to `at` has been written."""
        for partition in range(self.partitions):
            self.put({"kind": "tick", "recorded_at": at.isoformat()}, partition=partition)

    def put(self, value: dict[str, Any], **place: Any) -> None:  # noqa: ANN401 - produce()'s keywords
        """Hand a message over; wait while the local queue is full."""
        data = json.dumps(value, ensure_ascii=False).encode()
        while True:
            try:
                self.producer.produce(TOPIC, data, **place)
            except BufferError:
                self.producer.poll(0.1)
            else:
                return

    def finish(self) -> int:
        """Wait for the broker's word for everything; how many events it didn't take."""
        undelivered = self.producer.flush()
        return self.losses.count + undelivered


def arrival(event: dict[str, Any]) -> datetime:
    """Arrival of an event, by recorded history."""
    return datetime.fromisoformat(event.get("recorded_at") or event["timestamp"])


def feed_recorded(feed: Feed, events: Iterable[dict[str, Any]], until: datetime) -> None:
    """Write the events by arrival, with their ticks, the last at `until`."""
    ordered = sorted(events, key=arrival)
    day_ends = arrival(ordered[0]) if ordered else until
    for event in ordered:
        while day_ends < arrival(event):
            feed.tick(day_ends)
            day_ends += TICK_EVERY
        feed.send(event)
    feed.tick(until)


def main() -> None:
    """Feed standard input, and fail if the broker hasn't taken all of it."""
    parser = argparse.ArgumentParser(prog="python -m examples.produce")
    parser.add_argument("bootstrap", help="Kafka, as host:port")
    parser.add_argument("--until", type=datetime.fromisoformat, help="history, which ends then")
    parser.add_argument("--per-s", type=int, default=100_000, help="events a second at most")
    options = parser.parse_args()
    events = map(json.loads, sys.stdin.buffer)
    with Feed(options.bootstrap, options.per_s) as feed:
        if options.until:
            feed_recorded(feed, events, options.until)
        else:
            for event in events:
                feed.send(event)
        if lost := feed.finish():
            sys.exit(f"{lost} messages were not taken")
    sys.stdout.write(f"{feed.sent} events written to {TOPIC}\n")


if __name__ == "__main__":
    main()
