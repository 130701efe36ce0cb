"""Warm tier: the last three months, for look-ups and queries."""
