"""``qkvcheck search``: look for contexts that break a claim."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from qkvcheck.commands import check_writable
from qkvcheck.errors import ClaimError, SettingsError


def add(commands: Any) -> None:
    """Add the command and its options."""
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
    search.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status."""
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
    check_writable("--out", options.out)
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
