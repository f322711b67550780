"""Documents: JSON files that review well: sorted keys, a newline at the end, written as a whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def write_document(path: Path, data: Any) -> None:
    """Write plain data as JSON; a reader sees the old file or the new one, never a part.

    Raises
    ------
    OSError
        If the file can't be written.
    ValueError
        If the data holds NaN or infinite numbers.
    """
    text = json.dumps(data, indent=1, sort_keys=True, allow_nan=False) + "\n"
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
