"""Kibana: data views and a dashboard over the indices of the warm tier, generated from code.

Door: `generate.py` (`python -m deploy.kibana.generate`) writes the NDJSON file that Kibana imports.
Imports nothing of the engine. Begin reading with `dashboard.py`, then `visualizations.py`.
"""
