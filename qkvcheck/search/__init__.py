"""Search: hypothesis as the adversary that writes the contexts which break a claim.

Walk in by `attack` for a claim, by `contexts` for strategies of your own.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
