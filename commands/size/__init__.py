"""`ordertide size`: hardware needed for a number of orders a day, from measured unit costs.

Door: `command.py`. Imports only schemas; nothing imports it but `commands/main.py`.
Begin reading with `figures.py` (each unit cost with its source), then `model.py` (the arithmetic).
"""
