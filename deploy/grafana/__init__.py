"""Grafana: dashboards, generated from code.

Door: `generate.py` (`python -m deploy.grafana.generate`) writes the JSON files beside it.
Imports nothing of the engine. Begin reading with `panels.py`, then `engine.py`, a dashboard.
"""
