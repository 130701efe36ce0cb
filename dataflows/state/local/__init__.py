"""Local state: the shard store in one SQLite file, shared by the worker processes of a host.

Door: `sqlite.py`, on the Protocol in `../store.py`; `memory.py` is the same for tests.
May import schemas. Begin reading with `sqlite.py`, then `chain.py` (which blobs can be resumed
from, and which can go) and `frame.py` (the checksum and codec of a stored blob).
"""
