"""A second implementation of the numbers that came with the second edition.

Written from docs/statistics.md and docs/claims.md alone, before any of the package's code for these numbers was read:
slow, plain, float64, straight from the definition. Nothing here imports the package. Two things that the text left
open then were settled by the code, and are in the text now: `above-other-words` has its bias taken off, and how much
intervals over few units are widened. test_second_implementation.py compares the two; second_bases.py has the numbers
that hang on heads and their bases.
"""

import itertools
from fractions import Fraction
from math import comb, factorial

import numpy as np
from scipy import optimize, stats

# ---------------------------------------------------------------- similarities


def unit(vector, *, centred):
    vector = np.array(vector, dtype=np.float64)
    if centred:
        vector = vector - vector.sum() / len(vector)
    return vector / np.sqrt((vector**2).sum())


def pairs(first, second=None, *, centred):
    """Similarities of each pair of columns i < j of one block, or of every pair across two."""
    left = [unit(column, centred=centred) for column in np.asarray(first).T]
    if second is None:
        return np.array([float(a @ b) for a, b in itertools.combinations(left, 2)])
    right = [unit(column, centred=centred) for column in np.asarray(second).T]
    return np.array([float(a @ b) for a in left for b in right])


def row_pairs(rows, *, centred):
    """Similarities of each pair of contexts."""
    return pairs(np.asarray(rows).T, centred=centred)


def variance(values):
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values) / len(values)


def unimodal_excess(values):
    """V less the largest variance that one peak with this mean allows (B10)."""
    mean = sum(values) / len(values)
    return variance(values) - (1 / 3 + 2 * abs(mean) / 3 - mean**2)


def sign_balance(values):
    return sum(values) / sum(abs(value) for value in values)


def sign_balance_floor(block, *, centred):
    """-f / (d (d - 1)) over mean abs(c), with f of d columns not of length zero."""
    block = np.array(block, dtype=np.float64)
    if centred:
        block = block - block.mean(axis=0)
    d = block.shape[1]
    f = sum(1 for column in block.T if (column**2).sum() > 0)
    kept = block[:, [(column**2).sum() > 0 for column in block.T]]
    cosines = pairs(kept, centred=False)
    magnitude = sum(abs(cosines)) / (d * (d - 1) / 2)
    return -f / (d * (d - 1)) / magnitude


def exclusion(rows, *, centred):
    """The most that the variance of similarities can be with this mean (P3c's bound)."""
    values = row_pairs(rows, centred=centred)
    return 1 - (sum(values) / len(values)) ** 2


def dip(values):
    """Hartigan's dip: least D such that a unimodal G has abs(F - G) <= D, one program a mode.

    G is convex left of its mode and concave right of it, and may jump there alone. It can be
    taken linear between the values, and the mode at one of them.
    """
    points, counts = np.unique(np.asarray(values, dtype=np.float64), return_counts=True)
    above = np.cumsum(counts) / counts.sum()
    below = above - counts / counts.sum()
    return min(_distance_with_mode(points, below, above, mode) for mode in range(len(points)))


def _distance_with_mode(points, below, above, mode):
    count = len(points)
    # Unknowns: G left of point i for i <= mode (0 .. mode), G at i for i >= mode (mode + 1 ..), D.
    place_left, place_right = (lambda i: i), (lambda i: i + 1)
    size = count + 2
    rows, limits = [], []

    def at_most(terms, limit):
        row = np.zeros(size)
        for place, factor in terms:
            row[place] += factor
        rows.append(row)
        limits.append(limit)

    def near(place, value):
        at_most([(place, 1), (size - 1, -1)], value)
        at_most([(place, -1), (size - 1, -1)], -value)

    for i in range(count):
        if i < mode:
            near(place_left(i), below[i])
            near(place_left(i), above[i])
        elif i > mode:
            near(place_right(i), below[i])
            near(place_right(i), above[i])
        else:
            near(place_left(i), below[i])
            near(place_right(i), above[i])
    at_most([(place_left(mode), 1), (place_right(mode), -1)], 0)

    def bend(places, at, sign):
        (a, b, c), (x, y, z) = places, at
        # slope(a, b) <= slope(b, c), times sign; multiplied out by both lengths.
        first, second = z - y, y - x
        at_most([(b, sign * first), (a, -sign * first), (c, -sign * second), (b, sign * second)], 0)

    left = [place_left(i) for i in range(mode + 1)]
    right = [place_right(i) for i in range(mode, count)]
    for run, start, sign in ((left, 0, 1), (right, mode, -1)):
        for i in range(len(run) - 2):
            bend(run[i : i + 3], points[start + i : start + i + 3], sign)
        for a, b in itertools.pairwise(run):
            at_most([(a, 1), (b, -1)], 0)
    goal = np.zeros(size)
    goal[-1] = 1
    found = optimize.linprog(goal, A_ub=np.array(rows), b_ub=limits, bounds=[(0, 1)] * size, method="highs")
    assert found.success, found.message
    return float(found.fun)


# ---------------------------------------------------------------- rows of the target


def mean_of_rows(rows, *, centred):
    values = row_pairs(rows, centred=centred)
    return sum(values) / len(values)


def as_compared(rows, *, centred):
    rows = np.array(rows, dtype=np.float64)
    return np.array([row - row.mean() for row in rows]) if centred else rows


def share_above(rows, threshold, *, centred):
    values = row_pairs(rows, centred=centred)
    return sum(1 for value in values if value > threshold) / len(values)


def without_top_dimensions(rows, *, centred, count=3):
    offset = as_compared(rows, centred=centred).mean(axis=0)
    by_size = sorted(range(len(offset)), key=lambda i: (-(offset[i] ** 2), i))
    kept = sorted(by_size[count:])
    return mean_of_rows(np.asarray(rows)[:, kept], centred=centred)


def participation_ratio(rows, *, centred):
    energy = (as_compared(rows, centred=centred) ** 2).mean(axis=0)
    return energy.sum() ** 2 / (len(energy) * (energy**2).sum())


def above_other_words(rows, control, clusters, *, centred, widen=3):
    """The difference with its bias taken off, clusters leaving both arms together, and its interval."""
    rows, control = np.array(rows, dtype=np.float64), np.array(control, dtype=np.float64)

    def difference(kept):
        chosen = [cluster in kept for cluster in clusters]
        return mean_of_rows(rows[chosen], centred=centred) - mean_of_rows(control[chosen], centred=centred)

    value, error = jackknife(difference, clusters, widen)
    return interval(value, error, len(set(clusters)) - 1)


def standardised(rows, control, *, centred):
    rows = np.array(rows, dtype=np.float64)
    control = np.array(control, dtype=np.float64)
    columns = []
    for i in range(rows.shape[1]):
        mean = control[:, i].sum() / len(control)
        spread = np.sqrt(((control[:, i] - mean) ** 2).sum() / len(control))
        if spread > 0 and control[:, i].max() > control[:, i].min():
            columns.append((rows[:, i] - mean) / spread)
    return mean_of_rows(np.array(columns).T, centred=centred)


def same_position(rows, positions, *, centred):
    """Mean over pairs at one place and over the others, how many each, and their difference."""
    same, other = [], []
    count = len(positions)
    for i in range(count):
        for j in range(i + 1, count):
            value = float(unit(rows[i], centred=centred) @ unit(rows[j], centred=centred))
            (same if positions[i] == positions[j] else other).append(value)
    first, second = sum(same) / len(same), sum(other) / len(other)
    return first, len(same), second, len(other), first - second


# ---------------------------------------------------------------- words and contexts


def decisions(fitted, named, shrinkage=0.001):
    """Names that the analysis of `fitted` (contexts, words, dimensions) gives to the rows of
    `named`."""
    contexts, words, d = fitted.shape
    means = [fitted[:, k].sum(axis=0) / contexts for k in range(words)]
    scatter = np.zeros((d, d))
    for c in range(contexts):
        for k in range(words):
            scatter += np.outer(fitted[c, k] - means[k], fitted[c, k] - means[k])
    scatter /= contexts * words
    sigma = (1 - shrinkage) * scatter + shrinkage * np.trace(scatter) / d * np.eye(d)
    given = []
    for context in named:
        given.append([])
        for row in context:
            gaps = np.array([row - mean for mean in means])
            solved = np.linalg.solve(sigma, gaps.T).T
            distances = [float(gap @ one) for gap, one in zip(gaps, solved, strict=True)]
            given[-1].append(int(np.argmin(distances)))
    return np.array(given)


def left_out_names(grid):
    grid = np.array(grid, dtype=np.float64)
    every = range(len(grid))
    return np.array([decisions(grid[[o for o in every if o != c]], grid[[c]])[0] for c in every])


def token_identity(grid):
    """Share of all rows named rightly; (context) shares; share of each word (B11)."""
    names = left_out_names(grid)
    right = names == np.arange(names.shape[1])
    return right.mean(), right.mean(axis=1), right.mean(axis=0)


def law_of_right_names(given):
    """In how many orders of a context's words 0, 1, ... of them stand on rows that were given their names: all orders
    are tried of up to 7 words, of more the formula is counted out."""
    words = len(given)
    if words <= 7:
        law = [0] * (words + 1)
        for order in itertools.permutations(range(words)):
            law[sum(a == b for a, b in zip(order, given, strict=True))] += 1
        return law
    rooks = [1]
    for k in range(words):
        g = list(given).count(k)
        longer = [*rooks, 0]
        for j, r in enumerate(rooks):
            longer[j + 1] += g * r
        rooks = longer
    return [
        sum((-1) ** (j - i) * comb(j, i) * rooks[j] * factorial(words - j) for j in range(i, words + 1))
        for i in range(words + 1)
    ]


def permuted_words(grid):
    """The p-value: share of all orders of all contexts named with at least as many right names as were seen."""
    grid = np.array(grid, dtype=np.float64)
    names = decisions(grid[0::2], grid[1::2])
    seen = int((names == np.arange(names.shape[1])).sum())
    whole = [1]
    for given in names.tolist():
        law = law_of_right_names(given)
        longer = [0] * (len(whole) + len(law) - 1)
        for i, a in enumerate(whole):
            for j, b in enumerate(law):
                longer[i + j] += a * b
        whole = longer
    return float(Fraction(sum(whole[seen:]), factorial(names.shape[1]) ** len(names)))


def token_minus_context(grid):
    grid = np.array(grid, dtype=np.float64)
    n, w, _ = grid.shape
    grand = grid.reshape(n * w, -1).mean(axis=0)
    total = sum(((grid[c, k] - grand) ** 2).sum() for c in range(n) for k in range(w))
    between_words = sum(n * ((grid[:, k].mean(axis=0) - grand) ** 2).sum() for k in range(w))
    between_contexts = sum(w * ((grid[c].mean(axis=0) - grand) ** 2).sum() for c in range(n))
    return between_words / total - between_contexts / total


def noise_value(contexts, words):
    return (words - contexts) / (contexts * words - 1)


def jackknife(statistic, units, widen):
    """Bias-corrected jackknife and standard error, units left out one by one.

    `statistic(kept)` takes the units that stay.
    """
    names = sorted(set(units))
    count = len(names)
    whole = statistic(names)
    without = [statistic([n for n in names if n != name]) for name in names]
    pseudo = [count * whole - (count - 1) * value for value in without]
    value = sum(pseudo) / count
    error = np.sqrt(sum((p - value) ** 2 for p in pseudo) / (count * (count - 1)))
    wider = np.sqrt((count + widen) / (count - widen)) if count > 2 * widen else np.sqrt(3)
    return value, error * wider


def jackknife_interval(rows, number, clusters, *, widen=3):
    """Value and interval of a number of rows, clusters of them left out one by one."""
    rows = np.array(rows, dtype=np.float64)
    value, error = jackknife(lambda kept: number(rows[[one in kept for one in clusters]]), clusters, widen)
    return interval(value, error, len(set(clusters)) - 1)


def over_words_too(grid, clusters, *, widen, statistic=token_minus_context, level=0.95):
    """The interval over contexts and words."""
    grid = np.array(grid, dtype=np.float64)
    clusters = list(clusters)
    words = list(range(grid.shape[1]))
    whole = statistic(grid)
    first, e1 = jackknife(lambda kept: statistic(grid[[c in kept for c in clusters]]), clusters, widen)
    second, e2 = jackknife(lambda kept: statistic(grid[:, kept]), words, widen)
    value = first + second - whole
    error = np.sqrt(e1**2 + e2**2)
    degrees = min(len(set(clusters)), len(words)) - 1
    return interval(value, error, degrees, level=level)


def interval(value, error, degrees, *, level=0.95):
    reach = stats.t.ppf(1 - (1 - level) / 2, degrees) * error
    return value, value - reach, value + reach
