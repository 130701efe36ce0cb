"""Core: events and a watermark in, documents, alerts and actions out. Pure: no clock, no I/O.

Doors: `intake.py` (event to fact), `shard.py` (the orders of a shard), `resolve.py` (numbers).
May import schemas alone; ruff's banned-API rule and import-linter hold that.
Begin reading with `shard.py`, then `fold.py` (history to order), `deadlines.py` and `alerts.py`;
`lifecycle.toml` and `rules.toml` are the tables.
"""
