"""Wiring: parts opened by the settings, for the commands that need them.

Doors: `broker.py`, `definitions.py` (lifecycle and rules), `tiers.py`, `serving.py` (metrics and
health of a process), `process.py` (signals, wall clock), `wording.py`.
May import every room below commands/; imported by the commands alone.
Begin reading with `tiers.py`.
"""
