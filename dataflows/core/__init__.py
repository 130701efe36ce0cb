"""The pure core: events and a clock value in, what happened out. No I/O, clock or randomness."""
