"""Live view: all live orders in memory, as orders.changes has them.

Door: `LiveView` (view.py, pure) and `Follower` (follower.py), the thread that feeds one. Begin
reading with `view.py`.
"""
