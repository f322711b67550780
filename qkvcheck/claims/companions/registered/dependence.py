"""Dependence: what explains the rows, the interval under clusters of it, and the contexts that move the number most."""

from __future__ import annotations

from qkvcheck.claims.claim import Claim, Kind
from qkvcheck.claims.companions.registry import Companion, register_companion
from qkvcheck.claims.evidence import Beside
from qkvcheck.claims.verdict import BY_SIDE, Decision, Verdict, number_text, share_text
from qkvcheck.groups import FACTORS
from qkvcheck.statistics import (
    HEAVY,
    LEVEL,
    MIN_CLUSTERS,
    Measurement,
    explained,
    governed_estimate,
    influence,
    tail_ratio,
)


@register_companion
class ExplainedBy(Companion):
    """Contexts that share what explains a row are copies of each other."""

    name = "explained-by"
    says = "what first token, preceding token and position explain of the rows' spread (omega squared)"
    order = 40

    def look(self, claim: Claim, own: Measurement, verdict: Verdict) -> Beside | None:
        """Return the shares, factor by factor; None where the contexts' factors are not known."""
        del claim, verdict
        found = [one for one in explained(own.rows) if one.projection in own.comparison.group]
        if not found:
            return None
        texts = []
        for factor in FACTORS:
            shares = {one.projection: one for one in found if one.factor == factor}
            told = [f"{name} {share_text(one.share)}" for name, one in shares.items()]
            if told:
                texts.append(f"{factor} ({next(iter(shares.values())).levels}) {', '.join(told)}")
        return Beside(self.name, f"omega squared of {'; '.join(texts)}")


@register_companion
class Governed(Companion):
    """The interval with clusters by what explains most, where the verdict has others."""

    name = "clusters-by-factor"
    says = "the interval if contexts that share what explains most leave together"
    order = 41

    def look(self, claim: Claim, own: Measurement, verdict: Verdict) -> Beside | None:
        """Return the interval; it warns where the verdict would be another one."""
        if not _is_jackknifed(claim, own, verdict):
            return None
        found = governed_estimate(own, level=verdict.level or LEVEL)
        if found is None:
            return None
        estimate = found.estimate
        decision = BY_SIDE[claim.side(estimate.low, estimate.high)]
        few = estimate.clusters < MIN_CLUSTERS
        text = f"[{number_text(estimate.low)}, {number_text(estimate.high)}] over {estimate.clusters} clusters by "
        text += f"{found.kind}, which explains most; {verdict.clusters} clusters by {verdict.cluster_kind} here"
        if few:
            text += f": too few to judge by, {MIN_CLUSTERS} are needed"
        elif decision != _by_interval(claim, verdict):
            text += f": then it is {decision}"
        warns = few or decision != _by_interval(claim, verdict)
        return Beside(self.name, text, estimate.value, estimate.low, estimate.high, warns=warns)


@register_companion
class MostInfluential(Companion):
    """One outlier moves a number by tenths."""

    name = "most-influential"
    says = "the largest cluster's share of the jackknife variance, and the interval without the two largest"
    order = 42

    def look(self, claim: Claim, own: Measurement, verdict: Verdict) -> Beside | None:
        """Return share and interval; it warns where the verdict would be another one."""
        if not _is_jackknifed(claim, own, verdict):
            return None
        found = influence(own, level=verdict.level or LEVEL)
        if found is None:
            return None
        kind = "clusters" if own.rows.grouping is None else "groups of clusters"
        text = f"the largest of {len(own.rows.clusters)} {kind} makes {found.share:.0%} of the jackknife variance"
        without = found.without
        if without is None:
            return Beside(self.name, text, found.share)
        decision = BY_SIDE[claim.side(without.low, without.high)]
        differs = decision != _by_interval(claim, verdict)
        text += f"; without the two largest it is {number_text(without.value)} "
        text += f"[{number_text(without.low)}, {number_text(without.high)}]"
        text += f": then it is {decision}" if differs else ""
        return Beside(self.name, text, found.share, without.low, without.high, warns=differs)


@register_companion
class HeavyTails(Companion):
    """A few long rows make sums over contexts, and the jackknife does not see how many more there might be."""

    name = "heavy-tails"
    says = "how much longer (squared) the longest row is than the middle one; where it is much, intervals are short"
    order = 43
    axis = "dimensions"

    def look(self, claim: Claim, own: Measurement, verdict: Verdict) -> Beside | None:
        """Return the largest ratio over the projections; it warns above the bound."""
        if not _is_jackknifed(claim, own, verdict) or [array.ndim for array in own.rows.arrays] != [2]:
            return None
        rows, names = own.rows.arrays[0], sorted(set(own.comparison.group) & set(own.rows.projections))
        found = {name: tail_ratio(rows[:, own.rows.projections[name]]) for name in names}
        known = {name: ratio for name, ratio in found.items() if ratio is not None}
        if not known:
            return None
        name = max(known, key=lambda one: known[one])
        heavy = known[name] > HEAVY
        text = f"the longest row of {name} is {known[name]:.1f} times the middle one (squared, mean taken off)"
        text = f"heavy-tailed rows: the interval may be short; {text}" if heavy else text
        return Beside(self.name, text, known[name], warns=heavy)


def _is_jackknifed(claim: Claim, own: Measurement, verdict: Verdict) -> bool:
    return (
        claim.kind is Kind.INTERVAL and claim.threshold is not None and verdict.low is not None
        and not own.statistic.counts
    )  # fmt: skip


def _by_interval(claim: Claim, verdict: Verdict) -> Decision | None:
    """Return what the verdict's own interval says, apart from what else a claim asks."""
    return None if verdict.low is None or verdict.high is None else BY_SIDE[claim.side(verdict.low, verdict.high)]
