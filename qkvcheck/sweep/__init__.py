"""Sweep: verdicts over corpora that don't fit into memory: read in shards, captured, and kept as moments that merge."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
