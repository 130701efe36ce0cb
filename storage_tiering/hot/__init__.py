"""The hot tier: the last 72 hours, in Redis."""
