"""`ordertide act`: the action worker, and its dead letters.

Door: `command.py`; `worker.py` wires the worker by the settings, `tier_lookup.py` is the port by
which it looks up orders and alerts in the tiers. May import everything below commands.
"""
