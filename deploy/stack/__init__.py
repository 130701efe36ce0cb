"""Real servers on one machine: started from packages, without containers, on loopback only."""
