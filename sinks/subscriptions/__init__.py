"""Subscriptions: events of orders, posted to receivers that were registered while running.

Door: `worker.SubscriptionWorker`, one reader of orders.changes for all subscriptions. May import
broker, telemetry, schemas, and the channel of `sinks/actions`, which signs and checks addresses.
Begin reading with `subscription.py`, then `events.py`, then `deliveries.py`, whose states the
worker moves.
"""
