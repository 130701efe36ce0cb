"""Deployment: images, manifests, rules and dashboards, and real servers on one machine.

Doors: `compose.yaml`, `k8s/`, `prometheus/`, and `stack/` behind `ordertide stack`.
May import schemas alone: it starts servers and knows nothing of the engine.
Begin reading with docs/operations.md, then `stack/stack.py`.
"""
