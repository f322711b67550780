"""Record: verdicts kept, and compared with those of a later run.

Walk in by `load_results` for a result file, by `read_baseline` and `compare` for the regression gate.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
