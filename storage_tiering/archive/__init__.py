"""The archive: every event and every order for ever, in Parquet files that are never changed."""
