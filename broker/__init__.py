"""Kafka as ordertide uses it: connections, topics, readers, writers, watermarks and the lease.

Door: `consume.py` for readers, `consumer_loop.py` for what runs on one, `produce.py` for writers,
`connect.py` for where the broker is.
May import telemetry and schemas. Begin reading with `partition.py` (one partition from a position)
and `group.py` (a consumer group), then `clock.py`: the watermark of a partition and its proof.
"""
