"""Stack: real servers on one machine, started from packages, without containers, on loopback.

Door: `stack.py`, behind `ordertide stack`. Imports schemas alone.
Begin reading with `server.py` (a server from start to end), then `kafka.py` for an example;
`library.py` and `programs.py` find or fetch what a server consists of.
"""
