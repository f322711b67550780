"""Search: hypothesis as the adversary that writes the contexts, looks for those that break a claim, and shrinks them.

Two runs under one seed. The first is aimed at the worst (`hypothesis.target`) and fails nothing; if it met something
that breaks the claim, the second draws the same until it meets it again, and shrinks it. Nothing is measured twice.
How many of the draws broke the claim is no rate, and is not told.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from hypothesis import HealthCheck, Phase, Verbosity, assume, given, seed, settings, target
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from qkvcheck.claims import Cell, Claim, Direction
from qkvcheck.contexts import Context, ContextSet
from qkvcheck.errors import ContextError

Example = TypeVar("Example", Context, ContextSet)

_SHRINKING = tuple(phase for phase in Phase if phase is not Phase.explain)
"""Explaining would trace every line that runs, and measure further examples, for a report that nobody sees."""

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
    seed : int or str
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
    seed: int | str
    log: tuple[Measured[Example], ...]

    @property
    def short(self) -> Measured[Example] | None:
        """The worst context with at most four tokens left of the target, if any was measured."""
        return next((e for e in self.log if isinstance(e.example, Context) and len(e.example.prefix) <= SHORT), None)


def search(
    measure: Any,
    strategy: st.SearchStrategy[Example],
    *,
    claim: Claim,
    cell: Cell,
    budget: int,
    rng_seed: int | str,
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
    rng_seed : int or str
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
    bar = corpus if not claim.meets(corpus) else float(claim.threshold or 0.0)
    sign = 1.0 if claim.direction == Direction.AT_MOST else -1.0
    log: _Log[Example] = _Log(measure, sign=sign, limit=budget, announce=announce)

    def breaks(value: float) -> bool:
        # At a threshold of the claim's own the claim says itself whether it is met.
        return not claim.meets(value) and (bar == claim.threshold or sign * value > sign * bar)

    def aim(example: Example) -> float | None:
        value = log.measure(example)
        if value is not None:
            target(sign * value, label="how far the claim is broken")
        return value

    def attack(example: Example) -> None:
        value = aim(example)
        if value is not None and breaks(value):
            raise _BrokenClaim(example)

    _run(aim, strategy, budget=budget, rng_seed=rng_seed, phases=(Phase.generate, Phase.target))
    if log.worst is None:
        raise ContextError("no context could be drawn that can be measured; allow other lengths or words.")
    found = None
    if breaks(log.worst.value):
        found = log.worst
        for drawn in (strategy, short):
            if drawn is not None and (drawn is strategy or _length(found.example) > SHORT):
                log.limit = len(log.entries) + budget
                broken = _run(attack, drawn, budget=budget, rng_seed=rng_seed, phases=_SHRINKING)
                found = found if broken is None else log.entries[measure.key(broken)]
    every = tuple(sorted(log.entries.values(), key=lambda entry: -sign * entry.value))
    passing = [entry for entry in every if not breaks(entry.value)] if found is not None else []
    near = (
        min(passing, key=lambda e: (measure.distance(found.example, e.example), sign * e.value))
        if found is not None and passing
        else None
    )
    return Outcome(claim, cell, corpus, bar, len(every), every[0], found, near, rng_seed, every)


class _Log(Generic[Example]):
    """What was measured, each different example once, and no more than a limit."""

    def __init__(self, measure: Any, *, sign: float, limit: int, announce: Callable[[int, float], None] | None) -> None:
        self._measure = measure
        self._sign = sign
        self._announce = announce
        self.limit = limit
        self.entries: dict[Hashable, Measured[Example]] = {}
        self.worst: Measured[Example] | None = None

    def measure(self, example: Example) -> float | None:
        """Return the number of an example; None beyond the limit. What can't be measured is no example."""
        key = self._measure.key(example)
        assume(key is not None)
        if key not in self.entries:
            if len(self.entries) >= self.limit:
                return None
            value = self._measure.value(example)
            assume(value is not None)
            self.entries[key] = entry = Measured(example, value)
            if self.worst is None or self._sign * value > self._sign * self.worst.value:
                self.worst = entry
            if self._announce is not None:
                self._announce(len(self.entries), self.worst.value)
        return self.entries[key].value


def _run(
    test: Callable[[Example], object],
    strategy: st.SearchStrategy[Example],
    *,
    budget: int,
    rng_seed: int | str,
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
    return len(example.prefix) if isinstance(example, Context) else 0
