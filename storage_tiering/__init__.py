"""Tiers, the stores of orders: hot for hours, warm for months, the archive for ever."""
