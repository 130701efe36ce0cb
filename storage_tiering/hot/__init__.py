"""Hot tier: the last 72 hours, in Redis or a Redis Cluster.

Doors: `opening.py` by the settings, `redis.py` on the Protocol in `storage_tiering/tier.py`.
May import storage_tiering.records and tier, schemas. Begin reading with `redis.py`,
then `keys.py` (the layout) and the Lua scripts beside it (compare-and-set by version).
"""
