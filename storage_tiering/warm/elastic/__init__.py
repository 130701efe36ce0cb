"""Warm tier on Elasticsearch: an index a month, so that expiring is dropping an index.

Door: `tier.py`, on the Protocol in `storage_tiering/tier.py`. May import storage_tiering.records
and tier, telemetry and schemas. Begin reading with `tier.py`, then `documents.py` (records as
documents) and `templates.py` (the mappings, in index_templates/).
"""
