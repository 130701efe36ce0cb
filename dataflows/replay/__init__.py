"""Replay: the same core over recorded files, exact and offline.

Door: `recording.py`, called by `ordertide replay`. May import dataflows.core, broker and schemas.
Begin reading with `recording.py`, then `evaluate.py` (all shards in this process, or in several)
and `external_sort.py` (events in the order of arrival, when they exceed memory).
"""
