"""Inputs: whatever is read, held against a declared schema before any library gets it: a value, or one line.

Walk in by `read_json` and `from_document` for our own documents, and by `Given`, which names a file that comes from
elsewhere; `read_tensor_header` and `read_npz` look into archives.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
