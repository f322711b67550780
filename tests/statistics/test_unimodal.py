"""Unimodal: the bound for the mean, the claim's number, and the dip; planted columns that a referee gave."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import linprog

from qkvcheck.claims import judge
from qkvcheck.groups import Comparison
from qkvcheck.statistics import Sample, measure, statistic_named
from qkvcheck.statistics.further.unimodal import dip, dip_obstacle, most_unimodal_variance, sampled_similarities

needs_diptest = pytest.mark.skipif(dip_obstacle() is not None, reason="diptest is not installed")


@pytest.mark.parametrize("mean", [-0.9, -1 / 3, 0.0, 0.2, 1 / 3, 0.7, 0.95])
def test_the_bound_is_the_most_that_a_unimodal_law_reaches(mean):
    """Linear programs: masses on a grid that rise up to the mode and fall after it, with that mean."""
    edge, best = np.linspace(-1, 1, 161), 0.0
    for mode in range(0, len(edge), 8):
        rises = np.diff(np.eye(len(edge)), axis=0)
        rises[mode:] *= -1  # before the mode masses grow, after it they shrink; an atom may stand at the mode itself
        found = linprog(-(edge**2), -rises, np.zeros(len(rises)), [np.ones_like(edge), edge], [1.0, mean])
        if found.status == 0:
            best = max(best, -found.fun - mean**2)
    assert best <= most_unimodal_variance(mean) + 0.006  # 161 points for a continuous law
    assert best == pytest.approx(most_unimodal_variance(mean), abs=0.006)


def cosines(x: np.ndarray, y: np.ndarray | None = None) -> list[float]:
    def cosine(a, b):
        return float(sum(a * b) / np.sqrt(sum(a * a) * sum(b * b)))

    pairs = itertools.combinations(x.T, 2) if y is None else itertools.product(x.T, y.T)
    return [cosine(a, b) for a, b in pairs]


@pytest.mark.parametrize(("n", "d"), [(30, 6), (8, 12)])
@pytest.mark.parametrize("group", ["QQ", "QK"])
@pytest.mark.parametrize("how", ["cosine", "pearson"])
def test_the_excess_is_what_its_definition_says(rng, n, d, group, how):
    x = rng.normal(size=(n, 2 * d)) + 2 * rng.normal(size=2 * d) + 0.5
    blocks = {"Q": slice(0, d), "K": slice(d, 2 * d)}
    found = measure(statistic_named("unimodal_excess"), Sample((x,), blocks), Comparison(group, how))

    def expected(rows):
        rows = rows - rows.mean(axis=0) if how == "pearson" else rows
        c = cosines(rows[:, :d], None if group == "QQ" else rows[:, d:])
        m = sum(c) / len(c)
        return sum((one - m) ** 2 for one in c) / len(c) - (1 / 3 + 2 * abs(m) / 3 - m * m)

    assert found.plug_in == pytest.approx(expected(x), abs=1e-10)
    assert found.replicates.without[3] == pytest.approx(expected(np.delete(x, 3, axis=0)), abs=1e-10)


def columns(size: float, negative: float, *, n: int = 54, d: int = 200) -> np.ndarray:
    """Columns with offsets of that cosine with the all-ones vector, a share of them negative."""
    rng = np.random.default_rng(4)
    a = np.where(np.arange(d) < negative * d, -size, size)
    noise = rng.normal(size=(n, d))
    noise = (noise - noise.mean(axis=0)) / noise.std(axis=0)
    return a + np.sqrt(1 - a**2) * noise


def planted(size: float, negative: float) -> dict[str, object]:
    x = columns(size, negative)
    first, second = (
        judge(x, statistic=name, group="QQ", above=bound)
        for name, bound in (("variance", 4 / 9), ("unimodal_excess", 0.0))
    )
    beside = {one.name: one for one in second.evidence.beside or ()}
    return {"V": first, "excess": second, "dip": beside["dip"].value}


@needs_diptest
@pytest.mark.parametrize(
    ("negative", "variance", "grade", "excess", "peak"),
    [(0.06, 0.3276, "not certified", 0.0161, 0.0541), (0.08, 0.4109, "U-shaped if symmetric", 0.0577, 0.0706)],
)
def test_a_few_negative_dimensions_are_below_the_certificate_and_certain_for_their_mean(
    negative, variance, grade, excess, peak
):
    """All abs(a) = .95, few of them negative: no cosine is near 0, V is below 4/9, and one peak is excluded."""
    found = planted(0.95, negative)
    assert np.abs(cosines(columns(0.95, negative)[:, :40])).min() > 2 / 3
    assert found["V"].verdict == "REFUTED"
    assert found["V"].plug_in == pytest.approx(variance, abs=0.002)
    assert found["V"].grade == grade
    assert found["V"].reason == "below the certificate; two modes are not excluded"
    assert found["excess"].verdict == "SUPPORTED"
    assert found["excess"].plug_in == pytest.approx(excess, abs=0.002)
    assert found["dip"] == pytest.approx(peak, abs=0.002)


@needs_diptest
def test_an_empty_centre_that_no_variance_shows_is_seen_by_the_dip():
    """All abs(a) = .75, half of them negative: V is below that of a flat histogram, and the dip finds two peaks."""
    found = planted(0.75, 0.5)
    assert found["V"].plug_in == pytest.approx(0.3203, abs=0.002)
    assert found["V"].grade == "not certified"
    assert found["excess"].verdict == "REFUTED"
    assert found["excess"].plug_in == pytest.approx(-0.0148, abs=0.002)
    assert found["dip"] > 0.15
    flat = np.linspace(-1, 1, 20_000)
    assert dip(flat) < 0.001


@needs_diptest
def test_the_dip_is_what_its_definition_says(rng):
    """The least largest distance from a function that is convex up to a mode and concave after it (linear programs)."""
    x = np.sort(np.concatenate([rng.normal(-0.6, 0.1, 7), rng.normal(0.5, 0.2, 6)]))
    n = len(x)
    best = 1.0
    for mode in range(n):  # the law may have an atom at its mode: F jumps from `left` to its value there
        rows, bounds = [], []

        def at(place, *, mode=mode, left=False):
            one = np.zeros(n + 2)
            one[n if left and place == mode else place] = 1.0
            return one

        def require(row, bound, rows=rows, bounds=bounds):
            rows.append(row)
            bounds.append(bound)

        t = np.eye(n + 2)[n + 1]
        for i in range(n):
            require((i + 1) / n * 0 - at(i) - t, -(i + 1) / n)  # F(x_i) >= F_n(x_i) - t
            require(at(i, left=True) - t, i / n)  # F(x_i-) <= F_n(x_i-) + t
        slopes = [(at(i + 1, left=True) - at(i)) / (x[i + 1] - x[i]) for i in range(n - 1)]
        for i in range(1, n - 1):
            require((slopes[i - 1] - slopes[i]) * (1 if i < mode else -1 if i > mode else 0), 0.0)
        for i in range(n - 1):
            require(-slopes[i], 0.0)
        require(at(mode, left=True) - at(mode), 0.0)
        found = linprog(t, np.array(rows), np.array(bounds), bounds=[(0, 1)] * (n + 2))
        best = min(best, found.fun)
    assert dip(x) == pytest.approx(best, abs=1e-9)


def test_all_pairs_are_taken_unless_there_are_too_many(rng):
    x, y = rng.normal(size=(9, 7)), rng.normal(size=(9, 5))
    for first, second in ((x, None), (x, y)):
        every = cosines(first, second)
        found, pairs = sampled_similarities(first, second)
        np.testing.assert_allclose(found, every, rtol=0, atol=1e-12)
        assert pairs == len(every)
        few, pairs = sampled_similarities(first, second, most=10)
        drawn = np.random.default_rng(0).choice(len(every), 10, replace=False, shuffle=False)
        np.testing.assert_allclose(few, np.array(every)[drawn], rtol=0, atol=1e-12)
        assert pairs == len(every)


def test_without_the_package_the_dip_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    found = judge(columns(0.75, 0.5), statistic="variance", group="QQ", above=4 / 9).evidence.beside
    (one,) = (one for one in found or () if one.name == "dip")
    assert (one.name, one.value, one.warns) == ("dip", None, False)
    assert one.text == "the dip needs diptest: pip install 'qkvcheck[dip]'"
