"""Models: who is asked: where a model comes from, how its family lays out Q, K and V, its tokenizer and fingerprint.

Walk in by `load_model` or `from_model`; both return a `HookedModel`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
