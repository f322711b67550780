"""Layers: verdicts over all layers at once, and against untrained networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from qkvcheck.capture import Captured, sample_of
from qkvcheck.claims.claim import EXPLORATORY, Cell, Claim
from qkvcheck.claims.comparison import Compared, level_of
from qkvcheck.claims.controls.registry import seed_controls
from qkvcheck.claims.evidence import Evidence, MergedContexts, ProfilePoint, SeedRange, merged_contexts
from qkvcheck.claims.judging import PLAIN, JudgeOptions, judge_sample, with_certificate
from qkvcheck.claims.seed_numbers import Networks, SeedValues
from qkvcheck.claims.verdict import BY_SIDE, NOT_ASKED, NOT_TESTED, Decision, Verdict, make_verdict, not_judged
from qkvcheck.groups import Comparison
from qkvcheck.statistics import Sample, profile_layers, statistic_named


def judge_layers(
    claim: Claim,
    cell: Cell,
    captured: Captured | Mapping[int, Sample],
    *,
    untrained: Networks | None = None,
    options: JudgeOptions = PLAIN,
) -> Verdict:
    """Judge a claim at every captured layer, with intervals that hold for all of them at once.

    SUPPORTED if every judged layer's interval clears the threshold, REFUTED if one layer's misses it. The estimate
    shown is that of the layer with the lowest one.

    Parameters
    ----------
    claim, cell : Claim, Cell
        What is claimed; of the cell group and measure are taken.
    captured : Activations, or mapping of int to Sample
        (context, layer, width); or what was captured at each layer.
    untrained : Networks, optional
        Untrained networks, for the mean and range of their plug-in numbers at each layer.
    options : JudgeOptions
        Layers with fewer distinct contexts than it says are left out.
    """
    if isinstance(captured, Mapping):
        samples = dict(captured)
    else:
        held = captured[0].layers if isinstance(captured, tuple) else captured.layers
        samples = {layer: sample_of(captured, layer=layer, head=cell.at_head) for layer in held}
    statistic, comparison = statistic_named(claim.statistic, claim=claim.id), cell.comparison
    level = level_of(cell)
    points = profile_layers(
        list(samples.items()),
        comparison,
        statistic=statistic,
        axis=claim.axis,
        min_distinct=options.min_distinct,
        level=level,
    )
    judged = [point for point in points if point.estimate is not None]
    if not judged:
        reason = points[0].reason or "no layer can be judged"
        return not_judged(claim, cell, reason, qualifier=options.qualifier)
    sides = {p.layer: claim.side(p.low, p.high) for p in judged if p.low is not None and p.high is not None}
    where = {side: [str(layer) for layer, found in sides.items() if found is side] for side in (True, False, None)}
    decision = BY_SIDE[False if where[False] else None if where[None] else True]
    texts = [f"{word} {', '.join(where[side])}" for side, word in
             ((True, "holds at layers"), (False, "misses at"), (None, "open at")) if where[side]]  # fmt: skip
    left_out = [f"layer {p.layer} not judged: {p.reason}" for p in points if p.estimate is None]
    lowest = min(judged, key=lambda p: p.estimate if p.estimate is not None else 0.0)
    profile = []
    for point in points:
        shown = ProfilePoint(point.layer, point.estimate, point.low, point.high, point.n_distinct, point.reason)
        if point.estimate is not None:
            if claim.axis == "dimensions":
                shown = _with_square(shown, samples[point.layer], comparison)
            if untrained is not None:
                shown = _with_seeds(shown, claim, cell, untrained, captured)
        profile.append(shown)
    verdict = make_verdict(
        claim,
        cell,
        decision,
        estimate=lowest.estimate,
        low=lowest.low,
        high=lowest.high,
        level=level,
        simultaneous=True,
        n=next(iter(samples.values())).rows.n,
        n_distinct=lowest.n_distinct,
        qualifier=(*options.qualifier, *_of_training(claim, decision, profile)),
        reason="; ".join([*texts, *left_out]),
        evidence=Evidence(profile=profile, least_at_layer=lowest.layer, merged=_merged(samples)),
    )
    return with_certificate(verdict)


def _merged(samples: Mapping[int, Sample]) -> list[MergedContexts] | None:
    every = [one for layer, sample in samples.items() for one in merged_contexts(layer, sample.rows) or ()]
    return every or None


def _of_training(claim: Claim, decision: Decision, profile: Sequence[ProfilePoint]) -> tuple[str, ...]:
    """Return the note that a supported claim, which names untrained networks, was held against none.

    Where there are some, their range stands beside each layer, and no difference from it is tested.
    """
    if decision != Decision.SUPPORTED or not any(name in seed_controls() for name in claim.controls):
        return ()
    return (NOT_TESTED,) if any(point.untrained is not None for point in profile) else (NOT_ASKED,)


def _with_square(point: ProfilePoint, sample: Sample, comparison: Comparison) -> ProfilePoint:
    """Add the mean squared cosine, which is drawn with the variance."""
    (square,) = SeedValues((statistic_named("mean_square"),), comparison)(sample)
    return replace(point, mean_square=square)


def _with_seeds(point: ProfilePoint, claim: Claim, cell: Cell, untrained: Networks, captured: Any) -> ProfilePoint:
    own = statistic_named(claim.statistic)
    statistics = (own, statistic_named("mean_square")) if claim.axis == "dimensions" else (own,)
    networks = untrained.at(point.layer, captured, head=cell.at_head)
    numbers = networks.measure(SeedValues(statistics, cell.comparison))
    if not numbers:  # no seed was asked for
        return point
    found, *squares = (_range(one) for one in zip(*numbers, strict=True))
    return replace(point, untrained=found, untrained_mean_square=squares[0] if squares else None)


def _range(seeds: Sequence[float]) -> SeedRange:
    return SeedRange(sum(seeds) / len(seeds), min(seeds), max(seeds))


def judge_against_untrained(
    claim: Claim, cell: Cell, sample: Sample, untrained: Mapping[str, Compared], *, options: JudgeOptions = PLAIN
) -> Verdict:
    """Judge a claim about the difference from untrained networks.

    The estimate is the claim's plug-in number less the mean of the seeds'; the interval is that in which one more seed
    would leave the difference. With fewer than 19 seeds nothing is judged.

    Parameters
    ----------
    claim, cell, sample : Claim, Cell, Sample
        What is claimed, where, and what was captured.
    untrained : mapping of str to Seeds, Sample or str
        The untrained control by its name, or why there is none.
    options : JudgeOptions
        What does not depend on the claim.
    """
    plain = judge_sample(
        replace(claim, controls=tuple(untrained)),
        cell,
        sample,
        controls=untrained,
        options=replace(options, pictures=False),
    )
    found = plain.controls[0] if plain.controls else None
    if plain.verdict == Decision.NOT_JUDGED or found is None or found.low is None or found.high is None:
        why = plain.reason if found is None else found.reason
        return not_judged(claim, cell, why or "no untrained seeds", qualifier=options.qualifier)
    return replace(
        plain,
        verdict=BY_SIDE[claim.side(found.low, found.high)],
        estimate=found.difference,
        plug_in=found.difference,
        low=found.low,
        high=found.high,
        n_needed=None,
        grade=None,
        controls=(replace(found, passes=None, passing=None),),  # the criterion is of the difference
        qualifier=tuple(note for note in plain.qualifier if note in (*options.qualifier, EXPLORATORY)),
        # The estimate is no longer the one that was jackknifed.
        evidence=replace(plain.evidence, replicates=None, number=plain.plug_in),
    )
