"""Coverage where contexts depend on each other by their verb or subject, old cluster rule against the one by factor.

Normal rows of 48 dimensions with offsets of twice their spread and seven common factors; a share of each row is that of
its verb, a share that of its subject. `pytest tests/statistics/test_coverage_dependence.py -m slow -s` prints figures.
"""

from __future__ import annotations

import numpy as np
import pytest

from qkvcheck.groups import FIRST_TOKEN, POSITION, PRECEDING_TOKEN, Comparison
from qkvcheck.statistics import Sample, governed_estimate, measure, statistic_named

pytestmark = pytest.mark.slow

DRAWS, WIDTH, N = 400, 48, 54
_FIXED = np.random.default_rng(1)
OFFSET = 2.0 * _FIXED.normal(size=WIDTH)
_LOAD = _FIXED.normal(size=(7, WIDTH))
_LOAD /= np.sqrt((_LOAD**2).sum(axis=0))
COVARIANCE = 0.5 * _LOAD.T @ _LOAD + 0.5 * np.eye(WIDTH)
ROOT = np.linalg.cholesky(COVARIANCE).T


def draw(rng, verbs, by_verb, by_subject):
    """54 rows: verbs in turn with subjects, clusters by the old rule."""
    subjects = 9 if verbs == N else N // verbs
    v, s = np.repeat(np.arange(verbs), N // verbs), np.arange(N) % subjects
    x = OFFSET + sum(
        np.sqrt(share) * (rng.normal(size=(levels, WIDTH)) @ ROOT)[at]
        for share, levels, at in (
            (by_verb, verbs, v), (by_subject, subjects, s), (1 - by_verb - by_subject, N, np.arange(N))
        )
    )  # fmt: skip
    told = {
        FIRST_TOKEN: tuple(f"s{i:02d}" for i in s),
        PRECEDING_TOKEN: tuple(f"v{i:02d}" for i in v),
        POSITION: tuple(f"p{i}" for i in rng.integers(2, 5, size=N)),
    }
    return Sample((x,), {"Q": slice(0, WIDTH)}, factors=told)  # subjects below 18: each row is a cluster


def truth_of(statistic):
    if statistic == "variance":
        size = np.sqrt(OFFSET**2 + 1)
        return ((np.outer(OFFSET, OFFSET) + COVARIANCE) / np.outer(size, size))[np.triu_indices(WIDTH, k=1)].var()
    x = OFFSET + np.random.default_rng(5).normal(size=(20000, WIDTH)) @ ROOT
    x -= x.mean(axis=1, keepdims=True)
    total = (x / np.linalg.norm(x, axis=1, keepdims=True)).sum(axis=0)
    return (total @ total - len(x)) / (len(x) * (len(x) - 1))


@pytest.mark.parametrize(
    ("verbs", "by_verb", "by_subject", "old_at_most"),
    [(9, 0.985, 0, 0.5), (18, 0.985, 0, 0.7), (54, 0.985, 0, 1), (9, 0.5, 0.4, 0.4), (9, 0, 0, 1), (18, 0.08, 0, 1)],
)
@pytest.mark.parametrize(("statistic", "group", "how"), [("variance", "QQ", "cosine"), ("row_mean", "Q", "pearson")])
def test_clusters_by_what_explains_most_cover(statistic, group, how, verbs, by_verb, by_subject, old_at_most):
    rng, truth, old, new = np.random.default_rng(7), truth_of(statistic), 0, 0
    for _ in range(DRAWS):
        own = measure(statistic_named(statistic), draw(rng, verbs, by_verb, by_subject), Comparison(group, how))
        plain, found = own.estimate(), governed_estimate(own)
        governed = plain if found is None else found.estimate
        old += plain.low <= truth <= plain.high
        new += governed.low <= truth <= governed.high
    print(f"\n{statistic:9s} {verbs} verbs, {by_verb} / {by_subject}: old {old / DRAWS:.3f}, new {new / DRAWS:.3f}")
    assert new / DRAWS >= 0.95 - 0.025
    assert old / DRAWS <= old_at_most
