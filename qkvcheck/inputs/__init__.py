"""Inputs: files that come from elsewhere, looked at before any library gets them: a value, or one line.

Walk in by `Given`, which names a file and says how to speak of it; `read_tensor_header` and `read_npz` look
into archives.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
