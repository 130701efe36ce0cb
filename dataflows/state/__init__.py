"""The shard store: what a shard's orders are kept in between epochs (design idea 4)."""
