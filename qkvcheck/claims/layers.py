"""Beyond: verdicts that the paper's claims don't need: over all layers at once, and against untrained seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

from qkvcheck.claims.claim import MINIMUM_DISTINCT, Cell, Claim, stands
from qkvcheck.claims.comparison import Seeds
from qkvcheck.claims.judging import judge
from qkvcheck.claims.measured import distinct_of
from qkvcheck.claims.untrained import Captured, Untrained, sample_of
from qkvcheck.claims.verdict import (
    BY_SIDE,
    INCONCLUSIVE,
    NOT_JUDGED,
    REFUTED,
    SUPPORTED,
    Verdict,
    make_verdict,
    not_judged,
)
from qkvcheck.statistics import LEVEL, STATISTICS, Sample, distinct, plug_in, profile_layers, statistic_named

MEAN_SQUARE = STATISTICS["mean_square"]
"""Shown beside the variance at each layer."""


def judge_layers(
    claim: Claim,
    cell: Cell,
    captured: Captured,
    *,
    untrained: Untrained | None = None,
    qualifier: Sequence[str] = (),
    minimum_distinct: int = MINIMUM_DISTINCT,
) -> Verdict:
    """Judge a claim at every captured layer, with intervals that hold for all of them at once.

    SUPPORTED if every judged layer's interval clears the threshold, REFUTED if one layer's misses it. The estimate
    shown is that of the layer with the least one.

    Parameters
    ----------
    claim, cell : Claim, Cell
        What is claimed; of the cell group and measure are taken.
    captured : Activations
        (context, layer, width).
    untrained : Untrained, optional
        Untrained twins, for the mean and range of their plug-in numbers at each layer.
    qualifier : sequence of str
        Such as ``"stand-in"``.
    minimum_distinct : int
        Layers with fewer distinct contexts are left out.
    """
    layers = captured[0].layers if isinstance(captured, tuple) else captured.layers
    samples = [(layer, sample_of(captured, layer=layer)) for layer in layers]
    place = (cell.group, cell.measure)
    points = profile_layers(samples, place, statistic=claim.statistic, minimum_distinct=minimum_distinct)
    judged = [point for point in points if point.estimate is not None]
    if not judged:
        return not_judged(claim, cell, points[0].reason or "no layer can be judged", qualifier=qualifier)
    sides = {p.layer: stands(claim, p.low, p.high) for p in judged if p.low is not None and p.high is not None}
    where = {side: [str(layer) for layer, found in sides.items() if found is side] for side in (True, False, None)}
    verdict = REFUTED if where[False] else INCONCLUSIVE if where[None] else SUPPORTED
    texts = [f"{word} {', '.join(where[side])}" for side, word in
             ((True, "holds at layers"), (False, "misses at"), (None, "open at")) if where[side]]  # fmt: skip
    left_out = [f"layer {p.layer} not judged: {p.reason}" for p in points if p.estimate is None]
    least = min(judged, key=lambda p: p.estimate if p.estimate is not None else 0.0)
    profile = [
        {**asdict(point), "mean_square": plug_in(MEAN_SQUARE, distinct_of(sample), [place])[place]}
        if point.estimate is not None
        else asdict(point)
        for point, (_, sample) in zip(points, samples, strict=True)
    ]
    if untrained is not None:
        statistic = statistic_named(claim.statistic, claim=claim.id)

        def numbers(sample: Sample) -> list[float]:
            rows = distinct(sample)
            return [plug_in(each, rows, [place])[place] for each in (statistic, MEAN_SQUARE)]

        for entry in (entry for entry in profile if entry["estimate"] is not None):
            seeds = untrained.at(entry["layer"], captured).measure(f"profile {claim.statistic} {place}", numbers)
            entry["untrained"] = _spread([own for own, _ in seeds])
            entry["untrained_mean_square"] = _spread([square for _, square in seeds])
    return make_verdict(
        claim,
        cell,
        verdict,
        estimate=least.estimate,
        low=least.low,
        high=least.high,
        level=LEVEL,
        simultaneous=True,
        n=len(samples[0][1].arrays[0]),
        n_distinct=least.n_distinct,
        qualifier=tuple(qualifier),
        reason="; ".join([*texts, *left_out]),
        evidence={"profile": profile, "least_at_layer": least.layer},
    )


def _spread(seeds: Sequence[float]) -> dict[str, float]:
    return {"mean": sum(seeds) / len(seeds), "low": min(seeds), "high": max(seeds)}


def judge_against_untrained(
    claim: Claim, cell: Cell, sample: Sample, untrained: Sample | Seeds | str, *, qualifier: Sequence[str] = ()
) -> Verdict:
    """Judge a claim about the difference from untrained networks.

    The estimate is the claim's plug-in number less the mean of the seeds'; the interval is that in which one more seed
    would leave the difference. With fewer than 19 seeds nothing is judged.

    Parameters
    ----------
    claim, cell, sample : Claim, Cell, Sample
        What is claimed, where, and what was captured.
    untrained : Sample, Seeds or str
        The untrained control, or why there is none.
    qualifier : sequence of str
        Such as ``"stand-in"``.
    """
    plain = judge(
        replace(claim, controls=("untrained",)),
        cell,
        sample,
        controls={"untrained": untrained},
        qualifier=qualifier,
        pictures=False,
    )
    found = plain.controls[0] if plain.controls else None
    if plain.verdict == NOT_JUDGED or found is None or found.low is None or found.high is None:
        why = plain.reason if found is None else found.reason
        return not_judged(claim, cell, why or "no untrained seeds", qualifier=qualifier)
    verdict = BY_SIDE[stands(claim, found.low, found.high)]
    return replace(
        plain,
        verdict=verdict,
        estimate=found.difference,
        plug_in=found.difference,
        low=found.low,
        high=found.high,
        n_needed=None,
        grade=None,
        controls=(replace(found, passes=None, passing=None),),  # the criterion is of the difference
        qualifier=tuple(note for note in plain.qualifier if note in (*qualifier, "exploratory")),
        # The estimate is no longer the one that was jackknifed.
        evidence={**{k: v for k, v in plain.evidence.items() if k != "replicates"}, "number": plain.plug_in},
    )
