"""``qkvcheck compare``: how far two captures are from each other, and what verdicts do over checkpoints."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qkvcheck.commands.options import MODEL_OPTIONS, add_options, load
from qkvcheck.errors import CaptureError, SettingsError, shown
from qkvcheck.files import check_output
from qkvcheck.settings import OPTIONS

if TYPE_CHECKING:
    from qkvcheck.capture import FileSource

TOLERANCE = 1e-4


def add(commands: Any) -> None:
    """Add the command and its options."""
    compare = commands.add_parser(
        "compare",
        help="what moved between two files of activations, or between checkpoints' verdicts",
        description="With two files: tell for every layer and block how far the second is from the first. With one: "
        "capture the corpus on a model, and tell how far the file is from that. The files are what qkvcheck record "
        "wrote, or another tool (docs/referee.md). Exit status 1 if a difference passes the tolerance. With two or "
        "more files that end in .json, which hold verdicts on record or results of a run: a row a cell, a column "
        "a file, in the order given. Exit status 1 if a verdict turns from one file to the next.",
        epilog="example: qkvcheck compare before.safetensors after.safetensors; "
        "qkvcheck compare theirs.npz --model gpt2; qkvcheck compare step-100.json step-200.json --picture trend.png",
    )
    compare.add_argument("files", nargs="+", metavar="file", help="safetensors or npz; or two and more JSON files")
    ours = compare.add_argument_group("our own capture, with one file")
    add_options(ours, *MODEL_OPTIONS)
    compare.add_argument(
        "--tolerance",
        type=float,
        help="relative to a block's root mean square; default: 1e-4. With 0 every bit counts",
    )
    compare.add_argument("--json", action="store_true", help="print what was found as JSON")
    compare.add_argument("--picture", metavar="FILE", help="of JSON files: draw the trend (png, svg or pdf)")
    compare.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status."""
    documents = [name for name in options.files if name.lower().endswith(".json")]
    given = [row.name for row in OPTIONS if row.name in MODEL_OPTIONS and getattr(options, row.name) != row.usual]
    if not documents:
        return _of_activations(options, given)
    if len(documents) < len(options.files):
        other = next(name for name in options.files if name not in documents)
        raise SettingsError(
            f"{shown(documents[0])} holds verdicts and {shown(other)} activations; give files of one kind."
        )
    if len(documents) < 2:
        raise SettingsError(f"{shown(documents[0])} is one file of verdicts; give two or more.")
    unfit = "tolerance" if options.tolerance is not None else next(iter(given), None)
    if unfit is not None:
        raise SettingsError(f"--{unfit} goes with files of activations, and these hold verdicts; leave it out.")
    return _of_verdicts(options)


def _of_verdicts(options: argparse.Namespace) -> int:
    from qkvcheck.record import read_checkpoint, trend_of
    from qkvcheck.report import draw_trend, trend_lines

    trend = trend_of([read_checkpoint(name) for name in options.files])
    if options.picture is not None:
        check_output("--picture", options.picture, inputs=options.files)
        draw_trend(trend, options.picture)
    print(json.dumps(trend.to_dict(), indent=1) if options.json else "\n".join(trend_lines(trend)))
    return int(trend.flips > 0)


def _of_activations(options: argparse.Namespace, given: Sequence[str]) -> int:
    from qkvcheck.capture import read_submission
    from qkvcheck.record import drift_lines, drifts, first_moved, provenance_lines, verdict_line

    if options.picture is not None:
        raise SettingsError("--picture draws verdicts over checkpoints; give two or more JSON files, or leave it out.")
    if len(options.files) > 2:
        raise SettingsError(f"{len(options.files)} files of activations were given; give one or two.")
    tolerance = TOLERANCE if options.tolerance is None else options.tolerance
    if not tolerance >= 0:
        raise SettingsError(f"--tolerance {tolerance:g} makes no sense; give 0 or more.")
    file, *others = options.files
    first = read_submission(file)
    beside: list[str] = []
    if others:
        if given:
            raise SettingsError(f"--{given[0]} goes with one file; two files are compared with each other.")
        (other,) = others
        second = read_submission(other)
        _check_alike((file, other), (first, second))
        one, two = first.target, second.target
        head = f"{other} against {file}, {len(one.values)} contexts, layers zero-based"
        beside += provenance_lines(one.provenance, two.provenance)
    else:
        one, two, head = _against_our_own(file, first, options)
    found = drifts(one, two)
    alone = [layer for layer in (*one.layers, *two.layers) if layer not in one.layers or layer not in two.layers]
    if alone:
        beside.append(f"layers in one of them only: {', '.join(map(str, sorted(alone)))}")
    moved = first_moved(found, tolerance=tolerance)
    verdict = verdict_line(found, tolerance=tolerance)
    if options.json:
        document = {
            "equal": moved is None,
            "verdict": verdict,
            "tolerance": tolerance,
            "beside": beside,
            "differences": [drift.to_dict() for drift in found],
        }
        print(json.dumps(document, indent=1))
    else:
        print("\n".join([head, *beside, *drift_lines(found), verdict]))
    return int(moved is not None)


def _against_our_own(name: str, file: FileSource, options: argparse.Namespace) -> tuple[Any, Any, str]:
    from qkvcheck.capture import capture

    hooked, contexts = load(options)
    if file.texts is not None and list(file.texts) != [c.text for c in contexts.contexts]:
        raise CaptureError(f"{name!r} holds other sentences than the corpus {contexts.name!r}; name its corpus.")
    head = f"{name} against {hooked.spec}, {len(contexts)} contexts of {contexts.name}, layers zero-based"
    return capture(hooked, contexts, layers=file.layers, stage=file.target.stage), file.target, head


def _stage(source: FileSource) -> str:
    return f"{source.target.stage}{'' if source.stage else ' (assumed: it does not say)'}"


def _check_alike(names: tuple[str, str], sources: tuple[FileSource, FileSource]) -> None:
    """Refuse to compare captures of other contexts."""
    (file, other), (first, second) = names, sources
    one, two = (source.target.provenance.get("target") for source in sources)
    if first.texts is not None and second.texts is not None and first.texts != second.texts:
        raise CaptureError(f"{file!r} and {other!r} hold other sentences; record the same corpus.")
    if first.target.stage is not second.target.stage:
        told = f"{file!r} holds stage {_stage(first)} and {other!r} stage {_stage(second)}"
        raise CaptureError(f"{told}; compare files of one stage.")
    if one is not None and two is not None and one != two:
        raise CaptureError(f"{file!r} is of the target {one!r} and {other!r} of {two!r}; take one.")
