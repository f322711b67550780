"""``qkvcheck search``: look for contexts that break a claim."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from qkvcheck.commands.options import MODEL_OPTIONS, add_claims, add_load, add_options, claim_of, claims_of, load
from qkvcheck.errors import ClaimError, SettingsError
from qkvcheck.files import check_output
from qkvcheck.groups import MOST_HEADS, heads_of
from qkvcheck.settings import parse_layers

if TYPE_CHECKING:
    from qkvcheck.capture import Samples
    from qkvcheck.claims import Cell, Claim


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
    add_claims(search)
    search.add_argument("--layer", type=int, help="zero-based; default: the one that decides the claim")
    search.add_argument("--head", type=int, help="zero-based; default: the claim's first, if it names any")
    search.add_argument("--group", help="pair group or block; default: the claim's first primary cell")
    search.add_argument("--measure", help="default: the claim's first primary cell")
    add_options(search, *MODEL_OPTIONS)
    search.add_argument("--budget", type=int, default=2000, help="examples drawn; shrinking may measure as many more")
    search.add_argument("--seed", type=int, default=0, help="of the draws; default: 0")
    search.add_argument(
        "--words", default="sentences", help="sentences, grammatical, words or tokens; default: sentences"
    )
    search.add_argument(
        "--before",
        default="2-12",
        help="tokens left of the target; default: 2-12 (with one, the token before it stands first, where GPT-2's "
        "attention sinks)",
    )
    search.add_argument(
        "--rate",
        type=int,
        metavar="N",
        help="beside the search draw N contexts (or sets) at random and bound how often they miss the threshold; with "
        "59 and no miss fewer than 5 percent do",
    )
    search.add_argument("--out", metavar="FILE", help="write what was found as a corpus, JSON lines")
    search.add_argument("--replay", metavar="FILE", help="search nothing: measure again what --out wrote")
    search.add_argument("--json", action="store_true", help="print what was found as JSON")
    add_load(search)
    search.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status."""
    from qkvcheck.search import adversary, outcome_lines, rate_lines, search_record, write_found

    for name, least in (("budget", 1), ("rate", 1)):
        given = getattr(options, name)
        if given is not None and given < least:
            raise SettingsError(f"--{name} {given} is too small; it must be at least {least}.")
    read = (options.model, options.tokenizer or "", options.corpus, options.replay or "", *(options.claims or ()))
    check_output("--out", options.out, inputs=read)
    before = _span(options.before)
    samples, claim, cell = _place(options)
    own = samples.contexts
    head = f"model {samples.hooked.spec}, corpus {own.name} ({len(own)} contexts), target {own.target!r}"
    if options.replay:
        return _replay(options, samples, claim, cell, head)
    rate = None
    if options.rate is not None:
        # Before the search, so that what it finds can't have any part in it.
        rate = adversary.count_violations(samples, claim, cell, count=options.rate, rng_seed=options.seed)
    with _progress(options.budget) as announce:
        outcome = adversary.attack(
            samples,
            claim,
            cell,
            budget=options.budget,
            rng_seed=options.seed,
            words=options.words,
            before=before,
            announce=announce,
        )
    shown = (outcome.found or outcome.worst).example
    untrained = adversary.value_untrained(samples, claim, cell, shown)
    if options.json:
        document = {
            "schema": "qkvcheck/search/1",
            "model": {"spec": str(samples.hooked.spec), "fingerprint": samples.hooked.fingerprint},
            "corpus": {"name": own.name, "sha256": own.sha256, "contexts": len(own), "target": own.target},
            "search": {**search_record(outcome, budget=options.budget).to_dict(), "untrained": untrained},
            "rate": None if rate is None else adversary.rate_document(rate),
        }
        print(json.dumps(document, indent=1))
    else:
        print(f"{head}, seed {options.seed}")
        print("\n".join(outcome_lines(outcome, untrained=untrained)))
        if rate is not None:
            threshold = float(claim.threshold or 0.0)
            lines = rate_lines(rate.rate, rate.untrained, what=rate.what, seed=rate.seed, threshold=threshold)
            print("\n".join(lines))
    if options.out:
        count = write_found(options.out, outcome, count=len(own))
        print(
            f"{count} sentences written to {options.out}: pytest experiments/ --qkv-corpus {options.out}",
            file=sys.stderr if options.json else sys.stdout,
        )
    return int(outcome.found is not None)


def _span(text: str) -> tuple[int, int]:
    try:
        span = parse_layers(text).numbers  # the same form: a number, or the least and the most
        if not span:
            raise SettingsError("a share")
    except SettingsError:
        raise SettingsError(
            f"--before {text!r} can't be read; give a number of tokens such as 3, or the least and the most, such as "
            "2-12."
        ) from None
    return span[0], span[-1]


def _place(options: argparse.Namespace) -> tuple[Samples, Claim, Cell]:
    """Return what is attacked: a claim in one cell, on a model with its corpus."""
    from qkvcheck.capture import Plan, Samples, check_head
    from qkvcheck.claims import at_heads, cells, check_cells

    file = claims_of(options.claims)
    claim = claim_of(file, options.claim)
    check_cells(claim)  # of its controls none is measured, so they need not be known
    group, measure = claim.primary[0]
    group, measure = options.group or group, options.measure or measure
    heads = claim.heads if options.head is None else heads_of(options.head)
    if options.head is not None and heads is None:
        raise SettingsError(f"--head {options.head} makes no sense; give a whole number from 0 to {MOST_HEADS - 1}.")
    hooked, own = load(options)
    layer = file.at_depth(hooked.depth).layer if options.layer is None else options.layer
    chosen = [c for c in cells(claim, layers=[layer], heads=heads) if (c.group, c.measure) == (group, measure)]
    if not chosen:
        raise ClaimError(
            f"claim {claim.id} has no cell {group} {measure}; its groups: {', '.join(claim.groups)}; its measures: "
            f"{', '.join(claim.measures)}."
        )
    (cell, *_) = at_heads(claim, chosen[0], hooked.heads)
    if cell.at_head is not None:
        check_head(hooked.heads, cell.at_head)
    return Samples(hooked, own, Plan(layers=(layer,), words=file.words.lists())), claim, cell


def _replay(options: argparse.Namespace, samples: Samples, claim: Claim, cell: Cell, head: str) -> int:
    """Measure again what a file holds; exit status 1 if its first entry misses the claim's threshold."""
    from qkvcheck.contexts import Context, encode_corpus, read_corpus
    from qkvcheck.search import replay

    own = samples.contexts
    found = encode_corpus(read_corpus(options.replay), samples.hooked.encoder, target=own.asked)
    again = replay(samples, claim, cell, found)
    named = [m.example.text if isinstance(m.example, Context) else f"{len(found)} contexts" for m in again]
    if options.json:
        values = [{"text": name, "value": m.value} for name, m in zip(named, again, strict=True)]
        print(json.dumps({"schema": "qkvcheck/replay/1", "cell": cell.key, "values": values}, indent=1))
    else:
        print(f"{head}, {cell.key}: {claim.statement}")
        for name, measured in zip(named, again, strict=True):
            print(f"{measured.value:9.4f}  {'meets it' if claim.meets(measured.value) else 'misses it'}  {name}")
    return int(not claim.meets(again[0].value))


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int, float], None]]:
    """Show a bar on a terminal, and nothing elsewhere."""
    from tqdm import tqdm

    with tqdm(total=total, unit="example", disable=None, file=sys.stderr) as bar:

        def announce(count: int, worst: float) -> None:
            if count > bar.total:
                bar.set_description("shrinking", refresh=False)
                bar.total = count
            bar.set_postfix(worst=f"{worst:.4f}", refresh=False)
            bar.update(count - bar.n)

        yield announce
