"""The warm tier: the last three months, to look up and to query."""
