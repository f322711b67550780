"""Search: hypothesis as the adversary that writes the contexts, looks for those that break a claim, and shrinks them.

Two runs under one seed. The first is aimed at the worst (`hypothesis.target`) and fails nothing; if it met something
that breaks the claim, the second draws the same until it meets it again, and shrinks it. Nothing is measured twice.
How many of the draws broke the claim is no rate, and is not told.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from hypothesis import HealthCheck, Phase, Verbosity, assume, given, seed, settings, target
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from qkvcheck.capture import capture
from qkvcheck.claims import Cell, Claim, meets
from qkvcheck.contexts import Context, ContextSet
from qkvcheck.errors import ClaimError, ContextError
from qkvcheck.measured import distinct_of, obstacle_to
from qkvcheck.measurement import Sample, distinct, plug_in, statistic_named
from qkvcheck.samples import Samples, Variant
from qkvcheck.similarity import row_similarities, split_group
from qkvcheck.strategies import context_set
from qkvcheck.untrained import Captured, sample_of

Example = TypeVar("Example", Context, ContextSet)

ON_CONTEXTS = ("row_mean", "least_row_mean")
"""Statistics that a single context can break: the mean similarity to the corpus."""
MEASURED_ON: dict[str, Callable[[Samples], Captured]] = {
    "token_minus_context": lambda samples: samples.words(),
    "stability": lambda samples: samples.words(),
    "variance_difference": lambda samples: samples.matched_within,
    "token_share": lambda samples: samples.words_and_weights,
    "generic_removed": lambda samples: samples.generic_removed,
}
"""What a statistic takes, where it is not the target alone; a claim may name another with ``sample``."""
SHORT = 4
"""Tokens left of the target in a context that reads at a glance."""


class _BrokenClaim(Exception):  # noqa: N818 (no error: it tells hypothesis what to shrink)
    """Raised for an example that breaks the claim; never leaves this module."""


@dataclass(frozen=True)
class Measured(Generic[Example]):
    """An example with its number."""

    example: Example
    value: float


@dataclass(frozen=True)
class Outcome(Generic[Example]):
    """What a search found.

    Attributes
    ----------
    claim, cell : Claim, Cell
        What was attacked, and where.
    corpus : float
        The worst number of the corpus' own contexts (each beside the others), or the corpus' own number.
    bar : float
        What an example has to be worse than: the threshold, or the corpus' own number where that misses it already.
    tried : int
        Different examples that were measured.
    worst : Measured
        The worst of them.
    found : Measured or None
        The smallest example that hypothesis shrank a broken one to; None if none was worse than the bar.
    neighbour : Measured or None
        The example that is nearest to it, of those measured, and not worse than the bar.
    seed : int
        Of the draws.
    log : tuple of Measured
        Everything measured, the worst first.
    """

    claim: Claim
    cell: Cell
    corpus: float
    bar: float
    tried: int
    worst: Measured[Example]
    found: Measured[Example] | None
    neighbour: Measured[Example] | None
    seed: int
    log: tuple[Measured[Example], ...]

    @property
    def short(self) -> Measured[Example] | None:
        """The worst context with at most four tokens left of the target, if any was measured."""
        return next((e for e in self.log if isinstance(e.example, Context) and e.example.target_index <= SHORT), None)


class ContextMeasure:
    """The mean similarity of a context's target to those of the corpus.

    Parameters
    ----------
    samples : Samples
        Of the model, with the corpus.
    cell : Cell
        Layer, block and measure.
    """

    def __init__(self, samples: Samples, cell: Cell) -> None:
        self._samples = samples
        self._cell = cell
        self._prefixes = {context.prefix for context in samples.contexts.contexts}
        if cell.group not in samples.hooked.blocks:
            raise ClaimError(f"block {cell.group!r} is not one of {', '.join(samples.hooked.blocks)}; mend --group.")

    @cached_property
    def _reference(self) -> np.ndarray:
        rows = distinct(sample_of(self._samples.target, layer=self._cell.layer)).arrays[0]
        return split_group(rows, self._cell.group, self._samples.hooked.blocks)[0]

    def key(self, example: Context) -> Hashable | None:
        """Return what the model sees of a context, or None for one of the corpus' own."""
        seen = example.prefix if self._samples.hooked.layout.causal else example.token_ids
        return None if example.prefix in self._prefixes else seen

    def value(self, example: Context) -> float:
        """Return its mean similarity to the corpus."""
        contexts = self._samples.contexts
        one = context_set([example], target=contexts.target, target_id=contexts.target_id)
        row = capture(self._samples.hooked, one, layers=[self._cell.layer]).block(self._cell.layer, self._cell.group)
        return float(row_similarities(row, self._reference, measure=self._cell.measure).mean())

    def corpus(self, claim: Claim) -> float:
        """Return the worst of the corpus' own contexts, each beside the others."""
        similar = row_similarities(self._reference, measure=self._cell.measure)
        means = (similar.sum(axis=1) - np.diag(similar)) / (len(similar) - 1)
        return float(means.max() if claim.direction == "at_most" else means.min())

    def distance(self, first: Context, second: Context) -> int:
        """Return how many tokens left of the target have to change (Levenshtein 1966)."""
        return _edits(first.prefix, second.prefix)


class SetMeasure:
    """A claim's statistic on a set of contexts.

    Parameters
    ----------
    samples : Samples
        Of the model, with the corpus.
    claim, cell : Claim, Cell
        What is claimed, and where.
    """

    def __init__(self, samples: Samples, claim: Claim, cell: Cell) -> None:
        self._samples = samples
        self._claim = claim
        self._cell = cell
        self._statistic = statistic_named(claim.statistic, claim=claim.id)
        self._name = str(claim.settings.get("sample", claim.statistic))

    def _choose(self, samples: Samples) -> Captured:
        return MEASURED_ON[self._name](samples) if self._name in MEASURED_ON else samples.target

    def key(self, example: ContextSet) -> Hashable | None:
        """Return what the model sees of a set."""
        return tuple(sorted(context.prefix for context in example.contexts))

    def value(self, example: ContextSet) -> float:
        """Return the claim's statistic on a set; an example that can't be judged is none."""
        sample = sample_of(self._choose(self._samples.under(Variant(), contexts=example)), layer=self._cell.layer)
        obstacle = self.obstacle(sample)
        assume(obstacle is None)
        return self._number(sample)

    def obstacle(self, sample: Sample) -> str | None:
        """Return why the claim can't be judged on a sample."""
        place = (self._cell.group, self._cell.measure)
        return obstacle_to(self._claim, self._statistic, sample, distinct_of(sample), place, 2)

    def _number(self, sample: Sample) -> float:
        place = (self._cell.group, self._cell.measure)
        return float(plug_in(self._statistic, distinct_of(sample), [place])[place])

    def corpus(self, claim: Claim) -> float:
        """Return the corpus' own number."""
        sample = sample_of(self._choose(self._samples), layer=self._cell.layer)
        obstacle = self.obstacle(sample)
        if obstacle is not None:
            raise ClaimError(f"claim {claim.id} can't be judged on the corpus: {obstacle}.")
        return self._number(sample)

    def distance(self, first: ContextSet, second: ContextSet) -> int:
        """Return how many contexts of one set the other does not hold."""
        one, other = ({context.prefix for context in drawn.contexts} for drawn in (first, second))
        return len(one ^ other)


def measure_of(samples: Samples, claim: Claim, cell: Cell) -> ContextMeasure | SetMeasure:
    """Return what a search measures for a claim.

    Raises
    ------
    ClaimError
        If the claim is not judged by a number of contexts.
    """
    if claim.threshold is None or claim.id in ("B4", "B6"):
        raise ClaimError(
            f"claim {claim.id} can't be searched: it is not one number of a set of contexts. Choose another, as P5."
        )
    if claim.statistic in ON_CONTEXTS and claim.settings.get("sample") is None:
        return ContextMeasure(samples, cell)
    return SetMeasure(samples, claim, cell)


def search(
    measure: Any,
    strategy: st.SearchStrategy[Example],
    *,
    claim: Claim,
    cell: Cell,
    budget: int,
    rng_seed: int,
    short: st.SearchStrategy[Example] | None = None,
    announce: Callable[[int, float], None] | None = None,
) -> Outcome[Example]:
    """Look for the example that breaks a claim worst, and for the smallest that does.

    Parameters
    ----------
    measure : ContextMeasure or SetMeasure
        What is measured of an example.
    strategy : SearchStrategy
        Of contexts or sets of them.
    claim, cell : Claim, Cell
        What is attacked, and where.
    budget : int
        How many examples are drawn; shrinking measures as many more at most.
    rng_seed : int
        Of the draws: the same seed gives the same search.
    short : SearchStrategy, optional
        Of short examples: tried with another budget if what was found is longer than `SHORT`.
    announce : callable, optional
        Told the number of examples measured, and the worst number so far.

    Raises
    ------
    ContextError
        If no example can be drawn and measured.
    """
    corpus = measure.corpus(claim)
    bar = corpus if not meets(claim, corpus) else float(claim.threshold or 0.0)
    sign = 1.0 if claim.direction == "at_most" else -1.0
    log: dict[Hashable, Measured[Example]] = {}
    limit = budget

    def measured(example: Example) -> float | None:
        key = measure.key(example)
        assume(key is not None)
        if key not in log:
            if len(log) >= limit:
                return None
            log[key] = Measured(example, measure.value(example))
            if announce is not None:
                announce(len(log), max(log.values(), key=lambda entry: sign * entry.value).value)
        return log[key].value

    def breaks(value: float) -> bool:
        # At a threshold of the claim's own the claim says itself whether it is met.
        return not meets(claim, value) and (bar == claim.threshold or sign * value > sign * bar)

    def aim(example: Example) -> float | None:
        value = measured(example)
        if value is not None:
            target(sign * value, label="how far the claim is broken")
        return value

    def attack(example: Example) -> None:
        value = aim(example)
        if value is not None and breaks(value):
            raise _BrokenClaim(example)

    _run(aim, strategy, budget=budget, rng_seed=rng_seed, phases=(Phase.generate, Phase.target))
    if not log:
        raise ContextError("no context could be drawn that can be measured; allow other lengths or words.")
    worst = max(log.values(), key=lambda entry: sign * entry.value)
    found = None
    if breaks(worst.value):
        limit = len(log) + budget
        broken = _run(attack, strategy, budget=budget, rng_seed=rng_seed, phases=tuple(Phase))
        found = worst if broken is None else log[measure.key(broken)]
        if short is not None and _length(found.example) > SHORT:
            limit = len(log) + budget
            broken = _run(attack, short, budget=budget, rng_seed=rng_seed, phases=tuple(Phase))
            found = found if broken is None else log[measure.key(broken)]
    worst = max(log.values(), key=lambda entry: sign * entry.value)  # shrinking may have met a worse one
    passing = [entry for entry in log.values() if not breaks(entry.value)]
    near = (
        min(passing, key=lambda e: (measure.distance(found.example, e.example), sign * e.value))
        if (found is not None and passing)
        else None
    )
    every = tuple(sorted(log.values(), key=lambda entry: -sign * entry.value))
    return Outcome(claim, cell, corpus, bar, len(log), worst, found, near, rng_seed, every)


def _run(
    test: Callable[[Example], object],
    strategy: st.SearchStrategy[Example],
    *,
    budget: int,
    rng_seed: int,
    phases: Sequence[Phase],
) -> Example | None:
    """Run a test under hypothesis; return the shrunk example that failed, if one did."""
    quiet = settings(
        max_examples=budget,
        phases=phases,
        database=None,
        deadline=None,
        derandomize=False,
        print_blob=False,
        report_multiple_bugs=False,
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )

    @seed(rng_seed)
    @quiet
    @given(strategy)
    def holds(example: Example) -> None:
        test(example)

    try:
        holds()
    except _BrokenClaim as broken:
        example: Example = broken.args[0]
        return example
    except Unsatisfiable:
        return None
    return None


def _length(example: Context | ContextSet) -> int:
    return example.target_index if isinstance(example, Context) else 0


def _edits(first: Sequence[int], second: Sequence[int]) -> int:
    row = list(range(len(second) + 1))
    for i, token in enumerate(first, start=1):
        before, row[0] = row[0], i
        for j, other in enumerate(second, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (token != other))
    return row[-1]


def write_found(path: str | Path, outcome: Outcome[Any], *, count: int = 54) -> int:
    """Write what was found as a corpus in JSON lines, and return how many sentences it holds.

    For a claim on single contexts: the shrunk one first, then the worst others, up to `count`. For a claim on sets: the
    shrunk set, or the worst one.

    Parameters
    ----------
    path : str or Path
        The file.
    outcome : Outcome
        As `search` returns it.
    count : int
        Most sentences.
    """
    best = outcome.found or outcome.worst
    if isinstance(best.example, ContextSet):
        rows: list[dict[str, Any]] = [{"text": context.text} for context in best.example.contexts]
    else:
        entries = {entry.example.text: entry.value for entry in (best, *outcome.log)}
        rows = [{"text": text, "value": round(value, 6)} for text, value in list(entries.items())[:count]]
    rows[0]["search"] = {"cell": outcome.cell.key, "value": round(best.value, 6), "seed": outcome.seed}
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(lines)


def outcome_lines(outcome: Outcome[Any]) -> list[str]:
    """Return what a search found, for a terminal."""
    claim, cell = outcome.claim, outcome.cell
    on_sets = isinstance(outcome.worst.example, ContextSet)
    what = "sets" if on_sets else "contexts"
    own = "the corpus" if on_sets else "worst sentence of the corpus"
    lines = [
        f"{cell.key} (layer {cell.layer}, zero-based): {claim.statement}",
        f"{own:<34} {outcome.corpus:.4f}",
        f"{'to be broken: worse than':<34} {outcome.bar:.4f}"
        + ("" if outcome.bar == claim.threshold else f" (the corpus itself misses {claim.threshold:g})"),
        f"{f'worst of {outcome.tried} different {what}':<34} {outcome.worst.value:.4f}  "
        f"{_shown(outcome.worst.example)}",
    ]
    if outcome.found is None:
        lines.append(
            f"No counterexample in {outcome.tried} {what} of seed {outcome.seed}; that supports nothing: a claim for "
            "all contexts can only be refuted."
        )
        return lines
    lines.append(f"{'smallest that hypothesis found':<34} {outcome.found.value:.4f}  {_shown(outcome.found.example)}")
    near = outcome.neighbour
    lines.append(
        f"{'nearest one that passes':<34} {near.value:.4f}  {_shown(near.example)}"
        if near is not None
        else "No context that was tried passes."
    )
    if isinstance(outcome.found.example, Context):
        least = outcome.short
        if outcome.found.example.target_index > SHORT and least is not None:
            lines.append(
                f"Shorter ones were tried: with at most {SHORT} tokens left of the target the worst is "
                f"{least.value:.4f}, {least.example.text!r}."
            )
        lines.append(f"@example(context_of({outcome.found.example.text!r}, tokenizer, target))")
    return lines


def _shown(example: Context | ContextSet) -> str:
    if isinstance(example, Context):
        return repr(example.text)
    return f"{len(example)} contexts such as {example.contexts[0].text!r}"
