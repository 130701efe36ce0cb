"""Sinks: order alerts, from orders.changes to people.

Doors: `delivery/delivery.py` (a consumer group) and `channels/installed.py` (the receivers).
May import broker, telemetry and schemas; neither dataflows nor storage_tiering.
Begin reading with `channels/channel.py`, then `delivery/delivery.py`.
"""
