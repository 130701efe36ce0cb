"""`ordertide size`: hardware needed for a number of orders a day, from measured unit costs.

Door: `command.py`. Imports storage_tiering.cost and schemas; only `commands/main.py` imports it.
Begin reading with `figures.py` (each unit cost with its source), then `model.py` (the arithmetic).
"""
