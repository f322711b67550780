"""Verdicts: every claim of a file judged on what a sweep has left; one that needs more says what it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from qkvcheck.claims import (
    NON_TARGET,
    UNTRAINED,
    Cell,
    Claim,
    ClaimsFile,
    Compared,
    JudgeOptions,
    Kind,
    Verdict,
    called_in_verdicts,
    captured_for,
    cells,
    controls_by_name,
    judge_against_untrained,
    judge_layers,
    judge_sample,
    not_judged,
)
from qkvcheck.groups import Capture
from qkvcheck.models import HookedModel
from qkvcheck.statistics import statistic_named
from qkvcheck.sweep.corpus.windows import KINDS
from qkvcheck.sweep.judged.numbers import answers
from qkvcheck.sweep.judged.samples import SweptNetworks, SweptSample, SweptSeeds, sample_at
from qkvcheck.sweep.plan import SweepPlan
from qkvcheck.sweep.state import State

NOT_SWEPT = "not judged in a sweep: needs "
_NEEDS = {
    Capture.WORDS: "every context continued with other words (the words grid)",
    Capture.WORDS_AND_WEIGHTS: "every context continued with other words (the words grid)",
    Capture.GENERIC_REMOVED: "every context continued with other words (the words grid)",
    Capture.FRESH: "contexts that nobody picked, compared with each row",
    Capture.MATCHED: "rows chosen by their positions",
}


@dataclass(eq=False)
class Judge:
    """What claims are judged with.

    Parameters
    ----------
    plan : SweepPlan
        What was asked for.
    hooked : HookedModel
        The network under test.
    states : sequence of State
        Of one target: in the network under test, then in untrained ones.
    claims : ClaimsFile
        What is claimed.
    told : callable, optional
        Called for each group that is left out.
    """

    plan: SweepPlan
    hooked: HookedModel
    states: Sequence[State]
    claims: ClaimsFile
    told: Callable[[], object] | None = None

    def __post_init__(self) -> None:
        self._samples: dict[tuple[int, int, str], SweptSample] = {}
        self.options = JudgeOptions(called_in_verdicts(self.hooked.called), self.claims.min_distinct)

    def sample(self, layer: int, *, role: str = "target", network: int = 0) -> SweptSample:
        """Return what was left at a layer; the same object each time."""
        key = (network, layer, role)
        if key not in self._samples:
            self._samples[key] = sample_at(
                self.states[network],
                layers=self.plan.layers,
                layer=layer,
                role=role,
                kind=KINDS[self.plan.clusters],
                deduplicated=self.plan.dedupe,
                heads=self.hooked.heads,
                told=self.told,
            )
        return self._samples[key]

    def seeds(self, layer: int) -> SweptSeeds:
        """Return the untrained networks at a layer."""
        return SweptSeeds(tuple(self.sample(layer, network=number) for number in range(1, len(self.states))))

    def verdicts(self) -> Iterator[Verdict]:
        """Yield the verdict of every cell of every claim."""
        deciding = self.claims.at_depth(self.hooked.depth).layer
        for claim in self.claims.claims.values():
            every = cells(claim, layers=self.plan.layers, deciding=deciding)
            for cell in every:
                family = [one for one in every if one.role == "family" and one.layer == cell.layer]
                yield self.judged(claim, cell, family if cell.role == "family" else [])

    def judged(self, claim: Claim, cell: Cell, family: Sequence[Cell] = ()) -> Verdict:
        """Return the verdict of one cell."""
        needed = needs(claim, cell)
        if claim.kind == Kind.EVERY_LAYER and len(self.plan.layers) < self.hooked.depth:
            needed = needed or "every layer: --layers all"
        if needed is not None:
            return not_judged(claim, cell, f"{NOT_SWEPT}{needed}", qualifier=self.options.qualifier)
        if claim.kind == Kind.EVERY_LAYER:
            samples = {layer: self.sample(layer) for layer in self.plan.layers}
            networks = SweptNetworks({layer: self.seeds(layer) for layer in self.plan.layers})
            asked = networks if UNTRAINED in claim.controls and len(self.states) > 1 else None
            return judge_layers(claim, cell, samples, untrained=asked, options=self.options)
        sample = self.sample(cell.layer)
        if claim.kind == Kind.AGAINST_UNTRAINED:
            return judge_against_untrained(
                claim, cell, sample, {UNTRAINED: self.seeds(cell.layer)}, options=self.options
            )
        names = tuple(controls_by_name()) if claim.controls else ()
        controls = self._controls(names, cell.layer)
        return judge_sample(
            replace(claim, controls=names), cell, sample, family=family, controls=controls, options=self.options
        )

    def _controls(self, names: Sequence[str], layer: int) -> Mapping[str, Compared]:
        """Return what a sweep has of each control, or that it has none."""
        found: dict[str, Compared] = dict.fromkeys(names, "a sweep doesn't capture it")
        if NON_TARGET in found:
            found[NON_TARGET] = self.sample(layer, role="preceding")
        if UNTRAINED in found:
            found[UNTRAINED] = self.seeds(layer)
        return found


def needs(claim: Claim, cell: Cell) -> str | None:
    """Return what a claim needs that a sweep doesn't keep; None where it can be judged.

    Examples
    --------
    >>> from qkvcheck.claims import Direction, Role
    >>> claim = Claim("P7", "stable", "stability", Direction.AT_LEAST, 0.5, groups=("Q",))
    >>> needs(claim, Cell("P7", 6, "Q", "cosine", Role.DECIDES, "P7-L06-Q"))
    'every context continued with other words (the words grid)'
    """
    if claim.kind == Kind.EXACT:
        return "conditions that a test states: pytest experiments/"
    if claim.kind == Kind.SEARCH:
        return "a search: qkvcheck search"
    if cell.head is not None:
        return "the columns of single heads: pytest experiments/"
    capture = Capture.TARGET if claim.kind == Kind.EVERY_LAYER else captured_for(claim)
    if capture != Capture.TARGET:
        return _NEEDS.get(capture, f"the capture {capture}")
    if claim.corpus is not None:
        return f"the corpus {claim.corpus}"
    if not answers(statistic_named(claim.statistic)):
        return f"the rows themselves for {claim.statistic}, of which only sums are kept"
    return None
