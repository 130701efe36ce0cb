"""How events become state, alerts and actions."""
