"""Core: events and a watermark in, documents, alerts and actions out. Pure: no clock, no I/O.

Doors: `door.py` and `intake.py` (event to fact), `shard.py` (the orders of a shard), `resolve.py`
(numbers).
May import schemas alone; ruff's banned-API rule and import-linter hold that.
Begin reading with `shard.py`, the face of the compiled shard: `engine/core/src/shard.rs`, then
`order/fold.rs` (history to order), `rules/deadlines.rs` and `rules/alerts.rs` beside it.
`lifecycle.toml` and `rules.toml` are the tables.
"""
