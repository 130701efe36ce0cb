"""Remote state: the shard store in a bucket of an S3-compatible object store, for many hosts.

Door: `store.py`. The local SQLite file is a working copy; the bucket's logs are the truth.
May import state.local and schemas. Begin reading with `log.py` (the commit protocol), then
`runs.py` and `run_start.py` (how a run takes over), `checkpoints.py` and `garbage_collection.py`.
"""
