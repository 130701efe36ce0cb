"""Examples: real data sets as events, one adapter each, with its licence beside it.

Doors: `olist/adapter.py` and `cargo2000/adapter.py`; `produce.py` writes their events to a broker.
Imports nothing of the engine: events are JSON. Begin reading with `olist/adapter.py`.
"""
