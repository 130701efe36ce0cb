"""`ordertide act`: the action worker, and its dead letters.

Door: `command.py`; `worker.py` wires the worker by the settings, `alert_lookup.py` is the port by
which it looks up alerts in the tiers. May import everything below commands.
"""
