"""Tar bytes: writing shards, indexing them, reading single samples by offset. Knows no SQL and no videos."""
