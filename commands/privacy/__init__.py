"""`ordertide privacy`: finding and erasing the personal data of a customer.

Door: `command.py`. May import all rooms below commands/; nothing imports it but `commands/main.py`.
Begin reading with `command.py`, then `places.py` (every place that may hold a customer's data).
"""
