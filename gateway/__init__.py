"""Gateway: what answers people and their tools from the live orders.

Door: `live/`, the live view of all orders. May import broker, storage_tiering, dataflows and what
lies below them; only commands import it. Begin reading with `live/view.py`.
"""
