"""Warm tier on SQLite: a file a month, so that expiring is deleting a file; embedded.

Door: `tier.py`, on the Protocol in `storage_tiering/tier.py`. May import storage_tiering.records
and tier, telemetry and schemas. Begin reading with `tier.py`, then `period.py`, and
`pending_events.py` for events whose order is unknown yet.
"""
