"""Weights: files that are looked at before they are read, what is held of them in memory, and their fingerprint."""
