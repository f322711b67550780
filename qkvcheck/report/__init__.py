"""Report: findings in words and pictures, for a terminal, a notebook and a page.

Walk in by `summary_lines` for a terminal, by `write_page` for a page.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
