"""Dataflows: from events to state, alerts and actions."""
