"""Real servers and how the engine is deployed with them."""
