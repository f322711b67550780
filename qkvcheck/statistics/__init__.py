"""Statistics: one number from captured rows, and how far it can be trusted; arrays in, numbers out, no model.

Walk in by `summarise_groups` for histograms of all pairs, by a `Sample` for what claims are judged on.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
