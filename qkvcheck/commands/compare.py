"""``qkvcheck compare``: how far a file of activations is from our own capture."""

from __future__ import annotations

import argparse
import json
from typing import Any

from qkvcheck.errors import CaptureError


def add(commands: Any) -> None:
    """Add the command and its options."""
    compare = commands.add_parser(
        "compare",
        help="how far a file of activations is from our own capture of the same contexts",
        description="Capture the corpus on a model, and tell for every layer and block of the file how far its rows "
        "are from ours. The file's form is in docs/referee.md. Exit status 1 if a difference passes the tolerance.",
        epilog="example: qkvcheck compare theirs.npz --model gpt2",
    )
    compare.add_argument("file", help="safetensors or npz")
    compare.add_argument("--model", default="auto", help="as --qkv-model; default: auto")
    compare.add_argument("--corpus", default="replication", help="as --qkv-corpus; default: replication")
    compare.add_argument("--target", default=" her", help="as --qkv-target; default: ' her'")
    compare.add_argument("--tokenizer", help="as --qkv-tokenizer")
    compare.add_argument(
        "--tolerance", type=float, default=1e-4, help="relative to a block's root mean square; default: 1e-4"
    )
    compare.add_argument("--json", action="store_true", help="print the differences as JSON")
    compare.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status."""
    from dataclasses import asdict

    from qkvcheck.capture import capture
    from qkvcheck.corpora import encode_corpus, read_corpus
    from qkvcheck.drift import drifts, first_moved
    from qkvcheck.models import load_model
    from qkvcheck.referee import read_submission

    submission = read_submission(options.file)
    corpus = read_corpus(options.corpus)
    hooked = load_model(options.model, tokenizer=options.tokenizer)
    contexts = encode_corpus(corpus, hooked.encoder, target=options.target)
    if submission.texts is not None and list(submission.texts) != [c.text for c in contexts.contexts]:
        raise CaptureError(f"{options.file!r} holds other sentences than the corpus {corpus.name!r}; name its corpus.")
    ours = capture(hooked, contexts, layers=submission.layers)
    found = drifts(ours, submission.target)
    moved = first_moved(found, tolerance=options.tolerance)
    if options.json:
        print(json.dumps({"equal": moved is None, "differences": [asdict(drift) for drift in found]}, indent=1))
        return int(moved is not None)
    print(f"{options.file} against {hooked.spec}, {len(contexts)} contexts of {corpus.name}, layers zero-based")
    print(f"{'layer':>5} {'block':>5} {'least cosine':>13} {'largest':>10} {'relative':>10}")
    for drift in found:
        print(
            f"{drift.layer:5d} {drift.block:>5} {drift.least_cosine:13.9f} {drift.largest:10.2e} {drift.relative:10.2e}"
        )
    if moved is None:
        print(f"The same within {options.tolerance:g} of the size of the numbers.")
        return 0
    print(
        f"DIFFERENT: first in {moved.block} of layer {moved.layer}, by {moved.relative:.2g} of the size of the numbers "
        f"(tolerance {options.tolerance:g})."
    )
    return 1
