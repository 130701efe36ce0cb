"""Warm tier: the last three months, to look up and to query.

Door: `opening.py`, which chooses by the settings: `elastic/` where a URL is set, else `sqlite/`.
May import storage_tiering.records and tier, schemas.
Begin reading with `opening.py`, then `sqlite/tier.py`, the smaller of the two.
"""
