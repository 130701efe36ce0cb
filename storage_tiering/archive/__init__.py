"""Archive: every event and every order for ever, in Parquet files that are never changed.

Doors: `opening.py` by the settings, `parquet.py` on the Protocol in `storage_tiering/tier.py`.
May import storage_tiering.records and tier, broker and schemas. Begin reading with `parquet.py`,
then `open_segment.py`, `sealed_segment.py`, `manifest.py` and `chain.py` (segments in sequence).
"""
