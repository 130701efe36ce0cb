"""API: the handlers of the routes under `/v1`, each beside the structs that it answers.

Door: the route table, `../routes.py`, names every handler. Imports the gateway's parts, storage
tiers and schemas. Begin reading with `lanes.py`.
"""
