"""Contexts: what is said: sentences around a target token, where they come from and how they are drawn.

Walk in by `read_corpus` and `encode_corpus`; both ends meet in a `ContextSet`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
