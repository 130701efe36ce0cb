"""`ordertide demo`: the whole engine on sample orders, in processes of its own, on one machine.

Door: `command.py`. May import all rooms below commands/; nothing imports it but `commands/main.py`.
Begin reading with `command.py`, then `process.py` (a part of the demo) and `feed.py` (the events).
"""
