"""``qkvcheck record``: store the target's activations of a corpus, to compare with later ones."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from qkvcheck.commands.options import MODEL_OPTIONS, add_options, load
from qkvcheck.errors import SettingsError
from qkvcheck.files import check_output


def add(commands: Any) -> None:
    """Add the command and its options."""
    record = commands.add_parser(
        "record",
        help="store the target's activations of a corpus",
        description="Capture Q, K and V of the target in every sentence of a corpus, at every layer, and store them as "
        "float32 in a safetensors file that tells where they come from. Record before an upgrade and after it, and "
        "qkvcheck compare tells what moved.",
        epilog="example: qkvcheck record --model gpt2 --out before.safetensors; pip install -U transformers; "
        "qkvcheck record --model gpt2 --out after.safetensors; qkvcheck compare before.safetensors after.safetensors",
    )
    record.add_argument("--out", metavar="FILE", required=True, help="a safetensors file")
    record.add_argument("--force", action="store_true", help="replace a file that is there")
    add_options(record, *MODEL_OPTIONS, "device", "dtype", "exact-layout", layers="all of the model's")
    record.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status."""
    from qkvcheck.capture import capture

    check_output("--out", options.out, inputs=(options.model, options.tokenizer or "", options.corpus))
    path = Path(options.out)
    if path.exists() and not options.force:
        raise SettingsError(f"--out {options.out!r} is there already; name another file, or replace it with --force.")
    hooked, contexts = load(options, device=options.device, dtype=options.dtype)
    print(f"capturing {len(contexts)} contexts on {hooked.spec} ...", file=sys.stderr, flush=True)
    layers = range(hooked.depth) if options.layers is None else options.layers.at(hooked.depth)
    captured = capture(hooked, contexts, layers=layers, exact_layout=options.exact_layout).recorded(
        model=hooked.spec,
        source=hooked.origin,
        fingerprint=hooked.fingerprint,
        corpus=contexts.name,
        corpus_sha256=contexts.sha256,
        target=contexts.target,
        dtype=hooked.dtype,
        device=hooked.device.type,
        layout="padded" if options.exact_layout else "shared prefixes",
        texts=[context.text for context in contexts.contexts],
    )
    captured.save(path)
    shape = " x ".join(map(str, captured.values.shape))
    print(
        f"{options.out}: {shape} (context, layer, Q + K + V) of {hooked.spec}, layers "
        f"{', '.join(map(str, captured.layers))} (zero-based), {path.stat().st_size / 1e6:.1f} MB"
    )
    return 0
