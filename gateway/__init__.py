"""Gateway: HTTP for people and their tools, over the live orders and the tiers.

Door: `application` (application.py) makes an ASGI application of the route table (routes.py) and
the parts (parts.py); server.py serves it. `access/` names callers, `api/` has the handlers, `live/`
the live view of all orders. May import broker, storage_tiering, dataflows and what lies below them;
only commands import it. Begin reading with `route.py` and `routes.py`.
"""
