"""Where results go that are no tier: alerts to people."""
