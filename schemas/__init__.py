"""The nouns of ordertide: events, orders, alerts, actions, settings and errors; frozen, no I/O."""
