"""Where events come from when they don't come from the broker: one file per source."""
