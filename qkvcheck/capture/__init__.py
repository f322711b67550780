"""Capture: the hooked forward: run contexts through a model and keep what its attention projections put out.

Walk in by `capture` for one array of activations, by `Samples` for everything that experiments measure.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
