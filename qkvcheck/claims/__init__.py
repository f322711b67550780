"""Claims: from a sentence that can be wrong to a verdict that carries its evidence and controls.

Walk in by `load_claims` and `cells`, then `judge`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
