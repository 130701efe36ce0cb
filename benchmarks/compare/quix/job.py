"""The job in Quix Streams: state by key in RocksDB with a changelog topic.

`python job.py BOOTSTRAP CHANGES ALERTS SILENCE_MS FOLDER`; runs in a venv of its own.

Quix Streams has no timers by key. Deadlines lie in the process's memory (`agenda`), which a real
job would have to rebuild from its state after a restart; and a state can only be reached while a
message of its key is at hand, so that a delivered order isn't forgotten. Both are in its favour.
"""

import sys
from collections.abc import Iterator
from typing import Any

from agenda import Agenda
from order import Order, alert, milliseconds
from quixstreams import Application, State, message_context

TOPIC = "events"
PARTITIONS = 8
SESSION_MS = 2_000_000  # it is held while others have their turn; librdkafka takes no more
COMMIT_S = 10.0
READ = {
    "session.timeout.ms": SESSION_MS,
    "max.poll.interval.ms": SESSION_MS,
    "fetch.queue.backoff.ms": 10,
}
WRITE = {
    "acks": "all",
    "enable.idempotence": True,
    "compression.type": "lz4",
    "linger.ms": 5,
    "partitioner": "murmur2_random",
}


class Job:
    """Changes by the state of the message's key; alerts by the clock of the messages."""

    def __init__(self, silence_ms: int) -> None:
        self.silence_ms = silence_ms
        self.agenda = Agenda(PARTITIONS)

    def due(self, event: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The alerts that fall due with the clock of this message; then the message itself."""
        clock_at, partition = milliseconds(event["recorded_at"]), message_context().partition
        for order_id, due_at in self.agenda.advance(clock_at, partition):
            yield alert(order_id, due_at)
        if "event_id" in event:
            yield event

    def change(self, event: dict[str, Any], state: State) -> dict[str, Any] | None:
        """The order after the event; None for a duplicate."""
        order = Order(*(state.get("order") or []))
        if not order.apply(event, self.silence_ms).is_new:
            return None
        state.set("order", order.packed())
        self.agenda.arm(event["order_id"], order.due_at)
        return order.change(event["order_id"])


def main(bootstrap: str, changes: str, alerts: str, silence_ms: str, folder: str) -> None:
    app = Application(
        bootstrap,
        consumer_group=f"{changes}.group",
        auto_offset_reset="earliest",
        consumer_extra_config=READ,
        producer_extra_config=WRITE,
        state_dir=folder,
        commit_interval=COMMIT_S,
        loglevel="WARNING",
    )
    job = Job(int(silence_ms))
    said = app.dataframe(app.topic(TOPIC, value_deserializer="json")).apply(job.due, expand=True)
    said.filter(lambda value: "due_at" in value).to_topic(
        app.topic(alerts, value_serializer="json", key_serializer="str"),
        key=lambda value: value["order_id"],
    )
    changed = said.filter(lambda value: "event_id" in value).apply(job.change, stateful=True)
    changed.filter(lambda value: value is not None).to_topic(
        app.topic(changes, value_serializer="json")
    )
    app.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
