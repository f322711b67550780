"""``qkvcheck sweep``: verdicts over a corpus that doesn't fit into memory, on one process or many."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qkvcheck.commands.options import add_load, add_options, claims_of
from qkvcheck.errors import SettingsError, some_of
from qkvcheck.settings import OPTIONS, parse_layers

if TYPE_CHECKING:
    from qkvcheck.claims import ClaimsFile
    from qkvcheck.models import HookedModel
    from qkvcheck.record import Results
    from qkvcheck.sweep import Memory, Progress, SweepPlan, Swept

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_STDIN = "-"
_NARROWEST = 60
_BEFORE_IT_BEGAN = ("checkpoints", "input.", "manifest.json.")
"""Beginnings of what a sweep leaves that was killed before it had a manifest."""
_NUMBER: dict[str, Any] = {"type": int, "metavar": "N"}
_SWITCH: dict[str, Any] = {"action": "store_true"}
_ROWS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("--target", "target token, its text or id; may be given again. Default: ' her'", {"action": "append"}),
    ("--corpus", "file, pattern in quotes, or - for standard input", {"action": "append", "required": True}),
    ("--column", "key or column of the texts; default: text", {"default": "text"}),
    ("--layers", "zero-based, as 6 or 0-11 or 50%%, or all; default: those of the claims file", {}),
    ("--claims", "claims files; default: those in ./experiments", {"metavar": "FILE", "nargs": "+"}),
    ("--out", "where results and checkpoints go", {"metavar": "FOLDER", "required": True}),
    ("--resume", "go on with the sweep in --out", _SWITCH),
    ("--strict", "end at the first record or file that can't be used", _SWITCH),
    ("--dedupe", "count contexts of the same tokens once (reads the texts twice)", _SWITCH),
    ("--window", "tokens before a target that count, at most; default: what the model allows, up to 128", _NUMBER),
    (
        "--clusters",
        "what leaves the jackknife together: auto (first-word), first-word, preceding-token, position, prefix, label "
        "or document",
        {"default": "auto"},
    ),
    ("--max-memory", "of a process; it decides how many groups there are. Default: 4GB", {"default": "4GB"}),
    (
        "--untrained-seeds",
        "untrained networks on the same contexts, each of which takes as long as the model; specificity needs 19. "
        "Default: 1",
        {**_NUMBER, "default": 1},
    ),
    ("--seed", "of hashes, draws and untrained networks; default: 0", {**_NUMBER, "default": 0}),
    ("--limit", "read the first N records only", _NUMBER),
    ("--shard-records", "records of a shard; default: 2048", {**_NUMBER, "default": 2048}),
    ("--max-line", "longest record that is taken; default: 4MB", {"default": "4MB"}),
)


def add(commands: Any) -> None:
    """Add the command and its options."""
    sweep = commands.add_parser(
        "sweep",
        help="verdicts over a corpus that doesn't fit into memory",
        description="Find every place of a target token in text, JSON lines, tables or Parquet files (.gz and .zst "
        "too), capture it there, and judge claims on what merges: moments, a jackknife over groups of clusters, and "
        "contexts drawn for pictures. Whatever happens to it, it can go on (--resume) to the very same numbers.",
        epilog="example: qkvcheck sweep --model embedded --corpus 'data/*.jsonl.gz' --layers 6 --out result/",
    )
    add_options(sweep, "model", "tokenizer", "bos", "layout", "device", "dtype")
    for flag, about, how in _ROWS:
        sweep.add_argument(flag, help=about, **how)
    add_options(sweep, "batch-size")
    where = sweep.add_mutually_exclusive_group()
    where.add_argument("--workers", type=int, help="processes on this machine (needs qkvcheck[sweep]); else this one")
    where.add_argument(
        "--scheduler", help="a dask scheduler, as tcp://host:8786; its workers have to see --corpus and --out"
    )
    add_load(sweep)
    sweep.add_argument("-v", "--verbose", help="print every cell, and every reason", action="store_true")
    sweep.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status."""
    for name in _THREADS:  # before NumPy is loaded: the same bits, however many processes work
        os.environ.setdefault(name, "1")
    _check(options)
    from qkvcheck.sweep import Progress, files_of, kept_input, run_sweep, scan_all

    folder = _folder(options)
    progress = Progress()
    if _STDIN in options.corpus:
        if len(options.corpus) > 1:
            raise SettingsError("--corpus -: standard input is read alone; leave the other files out.")
        kept = folder / "input.txt"
        paths = [kept if options.resume and kept.exists() else kept_input(sys.stdin.buffer, folder)]
    else:
        paths = files_of(options.corpus)
    claims, hooked, plan, memory = _planned(options, progress)
    files = scan_all(paths, plan, progress, strict=options.strict)
    with _runner(options) as runner:
        swept = run_sweep(
            plan,
            files,
            folder,
            fingerprint=hooked.fingerprint,
            progress=progress,
            runner=runner,
            resume=options.resume,
            strict=options.strict,
        )
    return _conclude(plan, hooked, swept, claims, folder, memory, progress, verbose=options.verbose)


def _check(options: argparse.Namespace) -> None:
    """Raise `SettingsError` for a value that makes no sense, before anything is loaded."""
    from qkvcheck.sweep import CLUSTERINGS

    least = {"window": 1, "limit": 1, "shard_records": 1, "untrained_seeds": 0, "seed": 0, "workers": 1}
    for name, smallest in least.items():
        given = getattr(options, name)
        if given is not None and given < smallest:
            raise SettingsError(f"--{name.replace('_', '-')} {given} is too small; it must be at least {smallest}.")
    if options.clusters not in CLUSTERINGS:
        raise SettingsError(f"--clusters {options.clusters!r} is not known; allowed: {', '.join(CLUSTERINGS)}.")


def _folder(options: argparse.Namespace) -> Path:
    """Return the folder of the sweep; refuse one with anything else in it, or with a sweep that is not to go on."""
    folder = Path(options.out)
    if folder.exists() and not folder.is_dir():
        raise SettingsError(f"--out {options.out!r} is a file; name a folder.")
    folder.mkdir(parents=True, exist_ok=True)
    begun = (folder / "manifest.json").exists()
    if begun and not options.resume:
        raise SettingsError(f"--out {options.out!r} holds a sweep; go on with it (--resume), or name another.")
    others = [path.name for path in folder.iterdir() if not path.name.startswith(_BEFORE_IT_BEGAN)]
    if others and not begun:
        raise SettingsError(
            f"--out {options.out!r} is not empty (it holds {some_of(sorted(others), shown=3)}) and holds no sweep; "
            "name another folder."
        )
    if options.resume and not begun:
        print("qkvcheck: nothing was begun there; the sweep starts anew.", file=sys.stderr)
    return folder


def _planned(options: argparse.Namespace, progress: Progress) -> tuple[ClaimsFile, HookedModel, SweepPlan, Memory]:
    from qkvcheck.claims import check_known
    from qkvcheck.models import load_model
    from qkvcheck.sweep import SweepPlan, memory_of, parse_size, size_text

    claims = claims_of(options.claims)
    for claim in claims.claims.values():
        check_known(claim)
    read_target = next(row for row in OPTIONS if row.name == "target")
    targets = tuple(read_target.read("--target", text) for text in options.target or [" her"])
    if len(set(targets)) < len(targets):
        raise SettingsError("--target names a token twice; name each once.")
    hooked = load_model(
        options.model, tokenizer=options.tokenizer, bos=options.bos, layout=options.layout, device=options.device,
        dtype=options.dtype,
    )  # fmt: skip
    if not hooked.architecture.causal:
        raise SettingsError(
            f"{hooked.spec} looks both ways: a context is a whole text, and a sweep takes what stands before."
        )
    layers = _layers(options, claims, hooked)
    width = max(part.stop for part in hooked.projections.values())
    weights = hooked.parameters * {"float64": 8, "float32": 4}.get(hooked.dtype, 2)
    memory = memory_of(
        places=2 * len(layers), width=width, targets=len(targets), untrained=options.untrained_seeds, weights=weights,
        most=parse_size(options.max_memory, flag="--max-memory"),
    )  # fmt: skip
    plan = SweepPlan(
        model=str(hooked.spec),
        tokenizer=options.tokenizer,
        bos=options.bos,
        layout=options.layout,
        device=options.device,
        dtype=options.dtype,
        targets=targets,
        layers=layers,
        window=_window(options, hooked),
        groups=memory.groups,
        column=options.column,
        clusters=options.clusters,
        seed=options.seed,
        untrained_seeds=options.untrained_seeds,
        dedupe=options.dedupe,
        records=options.shard_records,
        limit=options.limit,
        most_bytes=parse_size(options.max_line, flag="--max-line"),
        batch_size=options.batch_size,
        load=tuple(options.load or ()),
    )
    _check_targets(plan, hooked)
    seeds = options.untrained_seeds
    progress.say(
        f"qkvcheck: {hooked.spec}, {len(layers)} layer(s), {memory.groups} groups at most ({size_text(memory.one)} "
        f"each, a process up to {size_text(memory.whole)}), {seeds} untrained {'network' if seeds == 1 else 'networks'}"
    )
    return claims, hooked, plan, memory


def _check_targets(plan: SweepPlan, hooked: HookedModel) -> None:
    from qkvcheck.contexts import resolve_target

    for target in plan.targets:
        resolve_target(target, hooked.encoder)


def _layers(options: argparse.Namespace, claims: ClaimsFile, hooked: HookedModel) -> tuple[int, ...]:
    from qkvcheck.capture import check_layers

    if options.layers is None:
        layers = claims.at_depth(hooked.depth).layers
    elif options.layers == "all":
        layers = tuple(range(hooked.depth))
    else:
        layers = parse_layers(options.layers, flag="--layers").at(hooked.depth)
    check_layers(hooked, layers)
    return layers


def _window(options: argparse.Namespace, hooked: HookedModel) -> int:
    """Return how many tokens before a target count; raise `SettingsError` for more than the model can see."""
    limit = hooked.architecture.longest(hooked.config)
    most = 128 if limit is None else limit - 1 - len(hooked.special)
    if options.window is not None and limit is not None and options.window > most:
        raise SettingsError(
            f"--window {options.window} is too long; {hooked.spec} has {limit} positions, which leaves {most} "
            "before a target."
        )
    return int(min(128, most) if options.window is None else options.window)


def _runner(options: argparse.Namespace) -> Any:
    from contextlib import nullcontext

    from qkvcheck.sweep import Here

    if options.workers is None and options.scheduler is None:
        return nullcontext(Here())
    from qkvcheck.sweep import workers

    return workers(count=options.workers, scheduler=options.scheduler)


def _conclude(
    plan: SweepPlan,
    hooked: HookedModel,
    swept: Swept,
    claims: ClaimsFile,
    folder: Path,
    memory: Memory,
    progress: Progress,
    *,
    verbose: bool,
) -> int:
    """Judge each target, write its files, and print what was found."""
    from qkvcheck.report import missing_libraries, write_page
    from qkvcheck.sweep import conclude, folder_of, met_lines

    why = f"at most {memory.groups}, as --max-memory allows" if memory.groups < 200 else "at most 200"
    for target in range(len(plan.targets)):
        own = folder_of(folder, plan, target)
        progress.begin("judging", 0, unit="deletions")
        results, state = conclude(plan, hooked, swept, claims, own, target=target, why=why, told=progress.step)
        progress.clear()
        print("\n".join([*met_lines(swept, state, plan, why), *_lines(results, verbose=verbose)]))
        print(f"Results written to {own / 'results.json'}")
        if missing_libraries() is None:
            write_page(own / "report.html", [results])
            print(f"Report written to {own / 'report.html'}")
    return 0


def _lines(results: Results, *, verbose: bool) -> list[str]:
    """Return the claims on one screen, or every cell, and what each claim that is not judged needs."""
    from qkvcheck.report import screen_lines, summary_lines
    from qkvcheck.sweep import unjudged_lines

    width = max(shutil.get_terminal_size((100, 24)).columns, _NARROWEST)
    findings = list(results.findings)
    if verbose:
        told = [line.text for line in summary_lines(results.run, findings, every_cell=True, width=width)]
        return [*told, *unjudged_lines(findings)]
    return [line.text for line in screen_lines(results.run, findings, width=width)]
