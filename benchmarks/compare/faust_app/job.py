"""The job in Faust-streaming: a table in RocksDB with a changelog topic.

`python job.py BOOTSTRAP CHANGES ALERTS SILENCE_MS FOLDER`; runs in a venv of its own.

Faust has no timers by key. Deadlines lie in the process's memory (`agenda`), which a real job would
have to rebuild from its table after a restart: that is in its favour.
"""

import sys
from typing import Any

import faust
import orjson
from agenda import Agenda
from order import Order, alert, milliseconds

TOPIC = "events"
PARTITIONS = 8
SESSION_S = 2_000.0  # it is held while others have their turn
COMMIT_S = 10.0


def build(bootstrap: str, changes: str, alerts: str, silence_ms: int, folder: str) -> faust.App:
    """The application, with one agent."""
    app = faust.App(
        changes,
        broker=f"kafka://{bootstrap}",
        store="rocksdb://",
        datadir=folder,
        topic_partitions=PARTITIONS,
        topic_allow_declare=True,
        web_enabled=False,
        producer_acks=-1,
        producer_compression_type="lz4",
        producer_linger=0.005,
        broker_commit_interval=COMMIT_S,
        broker_session_timeout=SESSION_S,
        broker_max_poll_interval=SESSION_S,
        broker_request_timeout=SESSION_S + 10,
        stream_wait_empty=False,
    )
    raw: dict[str, Any] = {"value_type": bytes, "value_serializer": "raw", "key_type": bytes}
    events = app.topic(TOPIC, key_serializer="raw", **raw)
    changed = app.topic(changes, key_serializer="raw", **raw)
    alerted = app.topic(alerts, key_serializer="raw", **raw)
    orders = app.Table("orders", partitions=PARTITIONS)
    agenda = Agenda(PARTITIONS)

    @app.agent(events)
    async def follow(stream: Any) -> None:  # noqa: ANN401 - it has no types
        async for came in stream.events():
            event = orjson.loads(came.value)
            clock_at = milliseconds(event["recorded_at"])
            for order_id, due_at in agenda.advance(clock_at, came.message.partition):
                said = orjson.dumps(alert(order_id, due_at))
                await alerted.send(key=order_id.encode(), value=said)
            if "event_id" not in event:
                continue
            key = event["order_id"]
            order = Order(*(orders.get(key) or []))
            if not order.apply(event, silence_ms).is_new:
                continue
            orders[key] = order.packed()
            agenda.arm(key, order.due_at)
            await changed.send(key=key.encode(), value=orjson.dumps(order.change(key)))

    return app


def main(bootstrap: str, changes: str, alerts: str, silence_ms: str, folder: str) -> None:
    app = build(bootstrap, changes, alerts, int(silence_ms), folder)
    faust.Worker(app, loglevel="WARNING").execute_from_commandline()


if __name__ == "__main__":
    main(*sys.argv[1:])
