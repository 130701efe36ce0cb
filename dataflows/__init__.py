"""Dataflows: events become orders, alerts and actions.

Door: `track.py`, the dataflow as a sentence. May import broker, privacy, telemetry and schemas, and
neither sinks nor storage_tiering. Begin reading with `track.py`, then along the way of an event:
`source.py`, `source_task.py`, `decoding.py`, `steps.py`, `output_messages.py`, `sink.py`.
Rooms: `core/` (pure), `state/` (the shard store), `cluster/`, `carriers/`, `replay/`.
"""

from dataflows.compiled_core import check

check()
