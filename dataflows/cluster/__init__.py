"""Cluster: the worker processes of a run, on one host or many, started and watched together.

Doors: `single_host.py`, `multi_host.py`, and `open_store.py` for the store of a single process.
May import dataflows.state and dataflows.track, broker and below; only commands imports it.
Begin reading with `supervisor.py` (processes of a run, from start to end), then `multi_host.py`
(coordinator, participants, and the rendezvous in the bucket) and `begin_anew.py`.
"""
