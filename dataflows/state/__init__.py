"""State: the shard store, in which a shard's orders lie between epochs, and bytewax's pointers.

Door: `store.py`, the Protocol; `local/` is a SQLite file, `remote/` the same with a bucket.
May import schemas alone. Begin reading with `store.py`, then
`local/sqlite.py` and the commit protocol in `remote/log.py`; `bytewax_recovery.py` reads and writes
bytewax's own files.
"""
