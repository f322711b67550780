"""Command line: the ``qkvcheck`` command. Exit status 0: done; 1: a finding; 2: wrong use."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from qkvcheck.errors import CaptureError, ClaimError, QkvcheckError, SettingsError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except QkvcheckError as error:
        print(f"qkvcheck: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="qkvcheck",
        description="Claims about a transformer's queries, keys and values. The experiments run under pytest; "
        "this command tells what they have to work with.",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    doctor = commands.add_parser(
        "doctor",
        help="versions, devices, cache, what auto chooses, whether the hub answers",
        description="Look at this machine: versions, devices, the local model cache, what --qkv-model auto would "
        "choose and why, and whether the Hugging Face hub answers (asked once, for two seconds; not with "
        "HF_HUB_OFFLINE=1). Exit status 1 if something here is broken.",
        epilog="example: qkvcheck doctor --json > machine.json",
    )
    doctor.add_argument("--json", action="store_true", help="print the findings as JSON")
    doctor.set_defaults(run=_doctor)
    explain = commands.add_parser(
        "explain",
        help="the whole story of one verdict, from a result file",
        description="Tell everything that is known of one verdict: claim, estimate, interval, controls and what they "
        "say, evidence. The result file is what pytest wrote with --qkv-json. Without a key the verdicts are listed.",
        epilog="example: qkvcheck explain P3a-L06-QQ results.json",
    )
    explain.add_argument("key", nargs="?", help="such as P3a-L06-QQ")
    explain.add_argument("results", help="what --qkv-json wrote")
    explain.add_argument("--json", action="store_true", help="print the verdict as JSON")
    explain.set_defaults(run=_explain)
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
    compare.set_defaults(run=_compare)
    bench = commands.add_parser(
        "bench",
        help="how many times faster the kernels and the capture are than what people would use instead",
        description="Time our kernels and our capture against their peers, both sides in turn in one run, and print "
        "how many times faster ours are. Absolute times are shown and never judged. A contest whose peer is not "
        "installed is left out, and the list says so. Exit status 1 with --check if a ratio fell below the factor "
        "times the committed one.",
        epilog="example: qkvcheck bench --check --only histogram",
    )
    bench.add_argument("--check", action="store_true", help="fail where a committed ratio was lost")
    bench.add_argument("--only", metavar="TEXT", help="contests whose names hold this text")
    bench.add_argument("--rounds", type=int, default=7, help="at least 7 for --check; default: 7")
    bench.add_argument("--factor", type=float, default=0.7, help="of a committed ratio that must be left; default: 0.7")
    bench.add_argument("--ratios", metavar="FILE", help="committed ratios; default: those that come with qkvcheck")
    bench.add_argument("--record", metavar="FILE", help="write what was measured, to be committed")
    bench.add_argument("--json", action="store_true", help="print the ratios as JSON")
    bench.set_defaults(run=_bench)
    _add_search(commands)
    return parser


def _add_search(commands: Any) -> None:
    search = commands.add_parser(
        "search",
        help="look for contexts that break a claim, and shrink them to the smallest that do",
        description="Let hypothesis write contexts and look for the one that breaks a claim worst. P5 and P5+ are "
        "attacked context by context: its similarity to the corpus. Other claims are attacked by sets of as many "
        "sentences as the corpus has. How many of the draws broke it is no rate. Exit status 1 if something was found "
        "that is worse than the threshold, or than the corpus where that misses it already.",
        epilog="example: qkvcheck search --claim P5 --model gpt2 --budget 2000 --out found.jsonl; then "
        "pytest experiments/ --qkv-corpus found.jsonl",
    )
    search.add_argument("--claim", default="P5", help="of the claims file; default: P5")
    search.add_argument("--claims", metavar="FILE", nargs="+", help="claims files; default: those in ./experiments")
    search.add_argument("--layer", type=int, help="zero-based; default: the one that decides the claim")
    search.add_argument("--group", help="pair group or block; default: the claim's first primary cell")
    search.add_argument("--measure", help="default: the claim's first primary cell")
    search.add_argument("--model", default="auto", help="as --qkv-model; default: auto")
    search.add_argument("--corpus", default="replication", help="as --qkv-corpus; default: replication")
    search.add_argument("--target", default=" her", help="as --qkv-target; default: ' her'")
    search.add_argument("--tokenizer", help="as --qkv-tokenizer")
    search.add_argument("--budget", type=int, default=2000, help="examples drawn; shrinking may measure as many more")
    search.add_argument("--seed", type=int, default=0, help="of the draws; default: 0")
    search.add_argument("--words", default="sentences", help="sentences, words or tokens; default: sentences")
    search.add_argument(
        "--before",
        default="2-12",
        help="tokens left of the target; default: 2-12 (with one, the token before it stands first, where GPT-2's "
        "attention sinks)",
    )
    search.add_argument("--out", metavar="FILE", help="write what was found as a corpus, JSON lines")
    search.set_defaults(run=_search)


def _doctor(options: argparse.Namespace) -> int:
    from qkvcheck.doctor import as_document, examine

    checks = examine()
    if options.json:
        print(json.dumps(as_document(checks), indent=1))
    else:
        wide = max(len(check.name) for check in checks)
        for check in checks:
            print(f"{check.name:<{wide}}  {check.found}")
    return 0 if all(check.healthy for check in checks) else 1


def _explain(options: argparse.Namespace) -> int:
    from qkvcheck.controls import SAYS
    from qkvcheck.results import read_results
    from qkvcheck.story import explain_lines, label

    run, findings = read_results(options.results)
    by_key = {finding.verdict.key: finding for finding in findings}
    if options.key is None:
        for key, finding in by_key.items():
            print(f"{key:<26} {label(finding)}")
        return 0
    if options.key not in by_key:
        near = get_close_matches(options.key, by_key, n=3, cutoff=0.3)
        hint = f"; near it: {', '.join(near)}" if near else ""
        raise ClaimError(f"{options.results!r} holds no verdict {options.key!r} (it holds {len(by_key)}{hint}).")
    finding = by_key[options.key]
    if options.json:
        print(json.dumps(finding.to_dict(), indent=1, sort_keys=True))
    else:
        print("\n".join(explain_lines(finding, run, says=SAYS)))
    return 0


def _compare(options: argparse.Namespace) -> int:
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


def _bench(options: argparse.Namespace) -> int:
    from pathlib import Path

    from qkvcheck import bench
    from qkvcheck.doctor import machine

    least = bench.ROUNDS if options.check else 1
    if options.rounds < least:
        raise SettingsError(f"--rounds {options.rounds} is too few; at least {least} are needed here.")
    if not 0 < options.factor <= 1:
        raise SettingsError(f"--factor {options.factor:g} must be above 0 and at most 1.")
    _check_writable("--record", options.record)
    committed = bench.read_ratios(Path(options.ratios) if options.ratios else bench.committed_path())
    found, left_out = [], []
    for contest in bench.chosen(options.only):
        lacking = bench.missing(contest)
        if lacking is not None:
            left_out.append(f"{contest.name} was not measured: {lacking} is not installed.")
            continue
        print(f"{contest.name} ...", file=sys.stderr, flush=True)
        found.append(bench.measure(contest, rounds=options.rounds))
    here = machine()
    if options.json:
        print(json.dumps({**bench.document_of(found, here), "not_measured": left_out}, indent=1, sort_keys=True))
    else:
        print("\n".join([", ".join(here.values()), *bench.lines_of(found, committed, options.factor), *left_out]))
    if options.record:
        bench.write_ratios(Path(options.record), found, here)
        print(f"Ratios written to {options.record}", file=sys.stderr)
    if not options.check:
        return 0
    fallen = bench.lost(found, committed, factor=options.factor)
    for entry in fallen:
        print(
            f"LOST: {entry.name} is {entry.ratio:.2f} times faster; committed is {entry.committed:.2f}, and "
            f"{options.factor:.0%} of it is {entry.least:.2f}.",
            file=sys.stderr,
        )
    if not any(ratio.name in committed for ratio in found):
        raise SettingsError("nothing that was measured has a committed ratio; widen --only or install qkvcheck[bench].")
    return int(bool(fallen))


def _check_writable(flag: str, path: str | None) -> None:
    """Find a file that can't be written before long work, not after it."""
    from pathlib import Path

    if path and (not Path(path).parent.is_dir() or Path(path).is_dir()):
        raise SettingsError(f"{flag} {path!r} can't be written; name a file in a folder that exists.")


def _search(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from qkvcheck.claims import cells, load_claims
    from qkvcheck.corpora import encode_corpus, read_corpus
    from qkvcheck.models import load_model
    from qkvcheck.samples import Plan, Samples
    from qkvcheck.search import SHORT, ContextMeasure, measure_of, outcome_lines, search, write_found
    from qkvcheck.settings import parse_layers
    from qkvcheck.strategies import context_sets, contexts

    if options.budget < 1:
        raise SettingsError(f"--budget {options.budget} is too small; it must be at least 1.")
    _check_writable("--out", options.out)
    try:
        span = parse_layers(options.before)  # the same form: a number, or the least and the most
    except SettingsError:
        raise SettingsError(
            f"--before {options.before!r} can't be read; give a number of tokens such as 3, or the least and the most, "
            "such as 2-12."
        ) from None
    paths = options.claims or [f"experiments/{name}.toml" for name in ("claims", "beyond")]
    file = load_claims(*paths)
    if options.claim not in file.claims:
        raise ClaimError(f"claim {options.claim!r} is not on file; there: {', '.join(file.claims)}.")
    claim = file.claims[options.claim]
    group, measure_name = claim.primary[0]
    group, measure_name = options.group or group, options.measure or measure_name
    layer = file.layer if options.layer is None else options.layer
    chosen = [c for c in cells(claim, layers=[layer]) if (c.group, c.measure) == (group, measure_name)]
    if not chosen:
        raise ClaimError(
            f"claim {claim.id} has no cell {group} {measure_name}; its groups: {', '.join(claim.groups)}; its "
            f"measures: {', '.join(claim.measures)}."
        )
    corpus = read_corpus(options.corpus)
    hooked = load_model(options.model, tokenizer=options.tokenizer)
    target = int(options.target) if options.target.isdigit() else options.target
    own = encode_corpus(corpus, hooked.encoder, target=target)
    samples = Samples(hooked, own, Plan(layers=(layer,), words=file.settings.get("words", {})))
    measure = measure_of(samples, claim, chosen[0])
    drawn: dict[str, Any] = {"before": (span[0], span[-1]), "words": options.words}
    if hooked.layout.causal:
        drawn["after"] = 0  # the target can't see it
    strategy: Any = (
        contexts(hooked.encoder, target, **drawn)
        if isinstance(measure, ContextMeasure)
        else context_sets(hooked.encoder, target, size=len(own), **drawn)
    )
    brief = None
    if isinstance(measure, ContextMeasure) and span[0] <= SHORT < span[-1]:
        brief = contexts(hooked.encoder, target, **{**drawn, "before": (span[0], SHORT)})
    with tqdm(total=options.budget, unit="example", disable=None, file=sys.stderr) as bar:

        def announce(count: int, worst: float) -> None:
            if count > bar.total:
                bar.set_description("shrinking", refresh=False)
                bar.total = count
            bar.set_postfix(worst=f"{worst:.4f}", refresh=False)
            bar.update(count - bar.n)

        outcome = search(
            measure,
            strategy,
            claim=claim,
            cell=chosen[0],
            budget=options.budget,
            rng_seed=options.seed,
            short=brief,
            announce=announce,
        )
    print(f"model {hooked.spec}, corpus {own.name} ({len(own)} contexts), target {own.target!r}, seed {options.seed}")
    print("\n".join(outcome_lines(outcome)))
    if options.out:
        count = write_found(options.out, outcome, count=len(own))
        print(f"{count} sentences written to {options.out}: pytest experiments/ --qkv-corpus {options.out}")
    return int(outcome.found is not None)


if __name__ == "__main__":
    sys.exit(main())
