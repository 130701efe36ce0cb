"""Commands: one file a command of `ordertide`, and the places where all rooms meet.

Door: `main.py`, which imports a command when it is called. May import every room; only run.py
imports it. Large commands are rooms (`demo/command.py`); `wiring/` opens parts by the settings.
Begin reading with `track.py` (the dataflow), then `write.py` (a tier's writer) and `deliver.py`.
"""
