"""Cargo 2000: 3,942 real air-freight processes with their own lifecycle, plan and rules."""
