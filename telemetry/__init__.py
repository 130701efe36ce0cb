"""Telemetry: a process towards the outside: metrics, health, logs, terminal, HTTP client.

Doors: `metrics.py`, `health.py`, `log.py`, `screen.py`, `http_client.py`, `child_process.py`.
No personal data is in metrics, health and logs. May import schemas.
Begin reading with `metrics.py`, the list of all metrics.
"""
