"""Claims about a transformer's queries, keys and values, as pytest experiments."""
