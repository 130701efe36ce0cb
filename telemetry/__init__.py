"""A process towards the outside: metrics, health, logs, terminal, HTTP client, child processes.

No personal data is in metrics, health and logs. May import schemas alone.
"""
