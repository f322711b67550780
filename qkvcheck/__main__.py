"""``python -m qkvcheck``: the same as ``qkvcheck``, for where no script is on the path."""

from __future__ import annotations

import sys

from qkvcheck.cli import main

sys.exit(main())
