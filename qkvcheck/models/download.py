"""Download: the child process that fetches one model's files with huggingface_hub.

It is a process of its own, so that a stalled transfer can be ended: the library retries as long as a single
byte arrives. Run as ``python -m qkvcheck.models.download`` with a JSON request on standard input; the answer is one
line of JSON on standard output.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

CHUNK_BYTES = 64 * 1024
"""How much arrives before it is written: small, so that the parent sees a slow transfer move."""


ATTEMPTS = 20
BROKEN_TRANSFERS = ("ChunkedEncodingError", "ConnectionError", "ReadTimeout", "ReadError")


def _stop(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(143)  # an exception, so that the library removes its partial file


def _fetch(download: Callable[..., str], repository: str, name: str, place: dict[str, Any]) -> None:
    """Download one file; go on after a broken transfer, which not every release of the library does itself."""
    for attempt in range(ATTEMPTS):
        try:
            download(repository, name, **place)
            return
        except OSError as error:
            broken = type(error).__name__ in BROKEN_TRANSFERS
            if not broken or attempt == ATTEMPTS - 1:
                raise
            time.sleep(1)


def main() -> int:
    """Download what the request names; say what went wrong, if anything did."""
    signal.signal(signal.SIGTERM, _stop)
    request: dict[str, Any] = json.load(sys.stdin)
    from huggingface_hub import constants, hf_hub_download

    constants.DOWNLOAD_CHUNK_SIZE = CHUNK_BYTES
    try:
        for name in request["files"]:
            place = {"revision": request["revision"], "force_download": name in request["anew"]}
            _fetch(hf_hub_download, request["repository"], name, place)
    except Exception as error:
        response = getattr(error, "response", None)
        status = getattr(response, "status_code", None)
        reason = str(error).strip().splitlines()
        print(json.dumps({"status": status, "reason": reason[0] if reason else type(error).__name__}))
        return 1
    print(json.dumps({"status": None, "reason": None}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
