"""Delivery of alerts: a consumer group over orders.changes that keeps a channel up to date.

Door: `delivery.py`. Delivery is level-triggered: `ledger.py` holds what is open and what was
delivered, and the difference is what `sender.py` sends. May import sinks.channels, broker,
telemetry and schemas. Begin reading with `delivery.py`, then `ledger.py`.
"""
