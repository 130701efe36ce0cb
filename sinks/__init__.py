"""Sinks other than tiers: alerts to people."""
