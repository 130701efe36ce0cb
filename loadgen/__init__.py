"""Load generator: realistic order lives as a stream of events, and the exact result they must give.

Door: `run.py` runs a plan (`plan.py`) to an output (`output.py`); `expectation.py` is its result.
May import broker and schemas; used by `ordertide load` and the benchmarks.
Begin reading with `lives.py` (what happens to an order), then `stream.py` (delays, duplicates).
Everything about an order follows from its number and the seed (`chance.py`).
"""
