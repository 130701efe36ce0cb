"""`ordertide poll`: ask the carriers that don't push.

Door: `command.py`; `worker.py` is the loop over the accounts of `accounts.py`, `parcels.py` reads
the live parcels from orders.changes, `asked.py` remembers when each was asked for. May import
everything below commands.
"""
