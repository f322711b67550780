"""Positions: what mixing the places of a target does to a number, here and in untrained networks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from qkvcheck.claims.claim import Claim, Kind
from qkvcheck.claims.companions.registry import Around, Companion, WideCompanion, register_companion
from qkvcheck.claims.controls.registry import UNTRAINED
from qkvcheck.claims.evidence import Beside
from qkvcheck.claims.seed_numbers import SeedAtPlace, most
from qkvcheck.claims.verdict import Verdict, number_text
from qkvcheck.groups import POSITION
from qkvcheck.statistics import Measurement, Sample, mean_similarities_by


@register_companion
class SamePosition(Companion):
    """Two contexts with the target at one place may be alike for that alone."""

    name = "same-position"
    says = "the mean over pairs of contexts with the target at one place, and over the others"
    order = 30
    statistics = frozenset({"row_mean", "row_cosine"})

    def look(self, claim: Claim, own: Measurement, verdict: Verdict) -> Beside | None:
        """Return both means and how many pairs each is over; the number is their difference."""
        del claim, verdict
        places = own.rows.factors.get(POSITION)
        if places is None:
            return None
        pairs = len(places) * (len(places) - 1) // 2
        same = sum(count * (count - 1) // 2 for count in Counter(places).values())
        if same in (0, pairs):
            which = "none" if same == 0 else "all"
            return Beside(self.name, f"{which} of the {pairs} pairs of contexts have the target at one place")
        alike, others = mean_similarities_by(own.parts[0][0], places, measure=own.comparison.measure)
        text = f"{number_text(alike)} over the {same} pairs of contexts with the target at one place, "
        text += f"{number_text(others)} over the {pairs - same} others"
        return Beside(self.name, text, alike - others)


@register_companion
class UntrainedAtPlace(WideCompanion):
    """Untrained networks mix places too, and that lowers their number."""

    name = "untrained-at-place"
    says = "the number at the target's commonest place alone, here and in untrained networks"
    order = 31
    statistics = frozenset({"variance", "mean_square", "mean_absolute", "row_mean", "row_cosine", "row_variance"})

    def look_around(self, claim: Claim, own: Measurement, verdict: Verdict, around: Around) -> Beside | None:
        """Return mean and range over the untrained networks, and how many meet the claim's criterion."""
        seeds, places = around.controls.get(UNTRAINED), own.rows.factors.get(POSITION, ())
        place = commonest(places)
        if seeds is None or isinstance(seeds, (Sample, str)) or not seeds.count or place is None:
            return None
        number, at = SeedAtPlace(own.statistic, own.together, place), own.together.index(own.comparison)
        here, found = number(own.sample), [one[at] for one in seeds.measure(number) if one is not None]
        if here is None or not found:
            return None
        mean = sum(found) / len(found)
        text = f"at position {int(place.split()[-1])} alone ({places.count(place)} of {len(places)} contexts) it is "
        networks = f"{len(found)} untrained networks" if len(found) > 1 else "an untrained network"
        text += f"{number_text(here[at])}, in {networks} {number_text(mean)}"
        text += f" ({number_text(min(found))} to {number_text(max(found))})" if len(found) > 1 else ""
        meeting = [claim.meets(one) for one in found] if claim.kind is Kind.INTERVAL else []
        mixed = verdict.control(UNTRAINED)
        hidden = most(meeting) and mixed is not None and mixed.passes is False
        if meeting:
            text += f"; {sum(meeting)} of {len(found)} meet the criterion there"
        return Beside(self.name, text, mean, min(found), max(found), warns=hidden)


def commonest(places: Sequence[str]) -> str | None:
    """Return the commonest of some places, the first of those as common; None where all are the same.

    Examples
    --------
    >>> commonest(["position 0003", "position 0002", "position 0002", "position 0003"])
    'position 0002'
    """
    counts = Counter(places)
    return None if len(counts) < 2 else min(counts, key=lambda place: (-counts[place], place))
