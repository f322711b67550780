"""The corpus of a sweep: files, shards of them, and the places of targets in their texts."""
