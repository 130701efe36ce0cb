"""Cargo 2000: 3,942 real air-freight processes with their own lifecycle, plan and rules.

Door: `adapter.py`, rows to events. `tables.py` writes the lifecycle and the rules beside it.
Begin reading with `adapter.py`; the data's licence and origin stand beside it.
"""
