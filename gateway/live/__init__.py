"""Live view: all live orders in memory, as orders.changes has them.

Door: `LiveView` (view.py, pure) and `Follower` (follower.py), the thread that feeds one and hands
what changes to a `Hub` (hub.py), which has the readers of streams. Begin reading with `view.py`.
"""
