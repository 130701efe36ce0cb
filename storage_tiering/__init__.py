"""Storage tiering: orders to look up, hot for hours, warm for months, in the archive for ever.

Doors: `installed.open_tier`, `writer.Writer`, `find.find`. `tier.Tier` is the Protocol, and
`tests/contracts/test_tiers.py` its exact meaning. May import broker and schemas; neither
dataflows nor sinks. What a writer needs of others is a port in `writer_ports.py`.
Begin reading with `memory.py` (the shortest tier), then `writer.py`; rooms: hot, warm, archive.
"""
