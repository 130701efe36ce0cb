"""Schemas: the nouns of ordertide, frozen: events, orders, alerts, actions, topics and errors.

Doors: `event.py`, `order.py`, `alert.py`, `topics.py`, `errors.py`, and `settings/`.
Imports nothing of the other rooms; all of them may import it. Begin reading with `event.py`;
`generate.py` writes the schemas and pages under docs/ from these nouns.
"""
