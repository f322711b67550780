"""A statistic of one's own: over how many dimensions the target's vectors are spread."""

import numpy as np

from qkvcheck.statistics import Statistic, register_statistic


@register_statistic
class ParticipationRatio(Statistic):
    """(sum e)^2 / (d sum e^2), with e_i the mean square of dimension i."""

    name = "participation_ratio"
    words = "the participation ratio of the dimensions"
    reading = "1 if all dimensions hold as much, 1 / d if one of d holds everything."
    axis = "contexts"  # of Q, K or V; claims of pairs such as QK are refused

    def compute(self, parts, measure):
        """Return the number: parts[0][0] is (context, dimension); nothing is compared."""
        del measure
        energy = np.mean(np.asarray(parts[0][0], dtype=np.float64) ** 2, axis=0)
        return float(energy.sum() ** 2 / (len(energy) * (energy**2).sum()))
