"""Order alerts to Alertmanager or a webhook: told again as long as they are open."""
