"""Actions: what orders.actions requests, done once at its receiver, with its outcome on the order.

Door: `worker.ActionWorker`, a consumer group's only member. `table.py` reads actions.toml; the
receivers' channels lie in `channels/`, what customers are written in `messages/`. May import
broker, telemetry and schemas.
Begin reading with `outbox.py`, whose states everything else moves, then `attempt.py`.
"""
