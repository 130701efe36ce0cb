"""Carriers: plug-ins that verify a carrier's push and read it as events.

Door: `installed.open_carrier`; `carrier.Carrier` is the class they extend, and
`tests/contracts/test_carriers.py` its exact meaning. May import schemas.
Begin reading with `carrier.py`, then `sf.py` for an example; `wording.py` maps status texts.
"""
