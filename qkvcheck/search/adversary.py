"""Adversary: a claim attacked on a model: searched, measured again from a file, counted in random draws, and judged.

What is found is measured in an untrained network as well: a context that is far from the corpus there too says little
about training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from qkvcheck.capture import Samples
from qkvcheck.claims import (
    UNTRAINED,
    Cell,
    Claim,
    ControlKind,
    ControlResult,
    Decision,
    Direction,
    Evidence,
    Kind,
    Verdict,
    make_verdict,
)
from qkvcheck.contexts import Context, ContextSet, draw_contexts
from qkvcheck.errors import ClaimError
from qkvcheck.search.engine import SHORT, Measured, Outcome, search
from qkvcheck.search.measures import ContextMeasure, measure_of
from qkvcheck.search.outcome import search_record
from qkvcheck.search.strategies import SENTENCES, context_sets, contexts
from qkvcheck.statistics import ViolationRate, violation_rate, work

BEFORE = (2, 12)
"""Tokens left of the target. With one, the token before the target stands first, where GPT-2's attention sinks."""
TWIN_SEED = 0


@dataclass(frozen=True)
class Rate:
    """How often contexts drawn at random miss a claim's threshold.

    Attributes
    ----------
    rate : ViolationRate
        In the model.
    untrained : ViolationRate
        Of the same draws in one untrained network.
    seed : int
        Of the draws.
    what : {"contexts", "sets"}
        What was drawn.
    worst : Measured
        The worst of the draws.
    """

    rate: ViolationRate
    untrained: ViolationRate
    seed: int
    what: str
    worst: Measured[Any]


def attack(
    samples: Samples,
    claim: Claim,
    cell: Cell,
    *,
    budget: int,
    rng_seed: int | str,
    words: str | Sequence[str] = SENTENCES,
    before: tuple[int, int] = BEFORE,
    announce: Callable[[int, float], None] | None = None,
) -> Outcome[Any]:
    """Search for what breaks a claim: a context beside the corpus, or a set as large as the corpus.

    Parameters
    ----------
    samples : Samples
        Of the model, with the corpus.
    claim, cell : Claim, Cell
        What is attacked, and where.
    budget, rng_seed, announce
        As `qkvcheck.search.search` takes them.
    words, before
        As `qkvcheck.search.contexts` takes them.

    Raises
    ------
    ClaimError
        If the claim can't be searched.
    ContextError
        If no context can be drawn and measured.
    """
    measure = measure_of(samples, claim, cell)
    encoder, own = samples.hooked.encoder, samples.contexts
    drawn: dict[str, Any] = {"before": before, "words": words}
    if samples.hooked.architecture.causal:
        drawn["after"] = 0  # the target can't see it
    brief: Any = None
    if isinstance(measure, ContextMeasure):
        strategy: Any = contexts(encoder, own.asked, **drawn)
        if before[0] <= SHORT < before[1]:
            brief = contexts(encoder, own.asked, **{**drawn, "before": (before[0], SHORT)})
    else:
        strategy = context_sets(encoder, own.asked, size=len(own), **drawn)
    with work("search", budget) as told:

        def tell(count: int, worst: float) -> None:
            told.at(min(count, budget))  # shrinking measures more
            if announce is not None:
                announce(count, worst)

        return search(
            measure, strategy, claim=claim, cell=cell, budget=budget, rng_seed=rng_seed, short=brief, announce=tell
        )


def replay(samples: Samples, claim: Claim, cell: Cell, found: ContextSet) -> list[Measured[Any]]:
    """Measure again what a search wrote: each context, or the whole set.

    Parameters
    ----------
    samples : Samples
        Of the model, with the corpus that was searched beside.
    claim, cell : Claim, Cell
        What was attacked, and where.
    found : ContextSet
        The file's contexts, in its order.

    Raises
    ------
    ClaimError
        If the claim can't be judged on the set.
    """
    measure = measure_of(samples, claim, cell)
    if isinstance(measure, ContextMeasure):
        return [Measured(context, measure.value(context)) for context in found.contexts]
    value = measure.value(found)
    if value is None:
        raise ClaimError(f"claim {claim.id} can't be judged on these {len(found)} contexts; give the whole file.")
    return [Measured(found, value)]


def value_untrained(samples: Samples, claim: Claim, cell: Cell, example: Context | ContextSet) -> float | None:
    """Return an example's number in one untrained network, or None where it can't be measured there."""
    measure: Any = measure_of(samples.untrained(TWIN_SEED), claim, cell)
    value: float | None = measure.value(example)
    return value


def count_violations(samples: Samples, claim: Claim, cell: Cell, *, count: int, rng_seed: int) -> Rate:
    """Draw at random, not by search, and bound the rate of what misses the claim's threshold.

    Parameters
    ----------
    samples : Samples
        Of the model, with the corpus.
    claim, cell : Claim, Cell
        What is counted, and where.
    count : int
        How many contexts or sets: all are drawn before one is measured.
    rng_seed : int
        Of the draws.

    Raises
    ------
    ClaimError
        If the claim can't be searched, or can't be judged on a set that was drawn.
    """
    measure: Any = measure_of(samples, claim, cell)
    twin: Any = measure_of(samples.untrained(TWIN_SEED), claim, cell)
    rng, own = np.random.default_rng(rng_seed), samples.contexts

    def draw(size: int, exclude: frozenset[tuple[int, ...]] = frozenset()) -> ContextSet:
        encoder, target = samples.hooked.encoder, own.target
        return draw_contexts(
            encoder, count=size, rng=rng, target=target, target_id=own.target_id, earlier=own.earlier, exclude=exclude
        )

    on_contexts = isinstance(measure, ContextMeasure)
    drawn: Sequence[Any] = (
        draw(count, frozenset(context.prefix for context in own.contexts)).contexts
        if on_contexts
        else [draw(len(own)) for _ in range(count)]
    )
    rates = []
    for where in (measure, twin):
        values = where.values(drawn)
        if None in values:
            raise ClaimError(f"claim {claim.id} can't be judged on a set that was drawn; count another claim.")
        rates.append((violation_rate(sum(not claim.meets(value) for value in values), len(values)), values))
    sign = 1 if claim.direction == Direction.AT_MOST else -1
    worst = max(zip(drawn, rates[0][1], strict=True), key=lambda pair: sign * pair[1])
    return Rate(rates[0][0], rates[1][0], rng_seed, "contexts" if on_contexts else "sets", Measured(*worst))


def judge_every_context(
    samples: Samples,
    claim: Claim,
    cell: Cell,
    *,
    budget: int,
    rng_seed: int | str,
    qualifier: Sequence[str] = (),
) -> Verdict:
    """Judge a claim about all contexts: REFUTED by one of them, else INCONCLUSIVE; no search can support it.

    The estimate is the worst number known, of the corpus and of everything that was tried.

    Parameters
    ----------
    samples : Samples
        Of the model, with the corpus.
    claim, cell : Claim, Cell
        What is claimed, and where.
    budget, rng_seed
        As `attack` takes them.
    qualifier : sequence of str
        Such as ``"stand-in"``.
    """
    outcome = attack(samples, claim, cell, budget=budget, rng_seed=rng_seed)
    shown = outcome.found or outcome.worst
    untrained = value_untrained(samples, claim, cell, shown.example)
    worst = max if claim.direction == Direction.AT_MOST else min
    refuted = outcome.found is not None or not claim.meets(outcome.corpus)
    controls = () if untrained is None else (_untrained_result(claim, shown, untrained),)
    return make_verdict(
        claim,
        cell,
        Decision.REFUTED if refuted else Decision.INCONCLUSIVE,
        estimate=worst(outcome.worst.value, outcome.corpus),
        n=outcome.tried,
        controls=controls,
        qualifier=tuple(qualifier),
        reason=_reason(outcome),
        kind=Kind.SEARCH,
        evidence=Evidence(search=search_record(outcome, budget=budget)),
    )


def _untrained_result(claim: Claim, shown: Measured[Any], value: float) -> ControlResult:
    passes = claim.meets(value)
    return ControlResult(
        UNTRAINED,
        value,
        shown.value - value,
        passes,
        reason=f"on {shown.example.text!r}, searched for in the model under test, which has {shown.value:.4f}",
        kind=ControlKind.SEEDS,
        seeds=1,
        passing=int(passes),
    )


def _reason(outcome: Outcome[Any]) -> str:
    tried = f"{outcome.tried} different contexts, seed {outcome.seed}"
    holds, found = outcome.claim.meets(outcome.corpus), outcome.found
    if found is None and holds:
        return f"none misses it in {tried}: a claim about all contexts can only be refuted"
    own = f"the corpus has {outcome.corpus:.4f} at worst"
    if found is None:
        return f"{own}; none worse in {tried}"
    worst = outcome.worst.example.text
    if worst == found.example.text:
        return f"worst, and as simple as it gets: {worst!r}; {own}; {tried}"
    simplest = f"{found.example.text!r} with {found.value:.4f}"
    return f"worst: {worst!r}; the simplest worse than the corpus: {simplest}; {own}; {tried}"


def rate_document(rate: Rate) -> dict[str, Any]:
    """Return a rate as plain data."""
    return {
        "what": rate.what,
        "seed": rate.seed,
        "model": asdict(rate.rate),
        "untrained": asdict(rate.untrained),
        "worst": rate.worst.value,
    }
