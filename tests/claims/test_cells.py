"""A claim of cells that its statistic is not of is refused: its number would be another one than it says, or none."""

from __future__ import annotations

import numpy as np
import pytest

import qkvcheck
from qkvcheck.claims import check_known, load_claims
from qkvcheck.errors import ClaimError
from qkvcheck.groups import GROUPS_OF, Capture
from qkvcheck.statistics import Statistic, register_statistic, registry, statistics_by_name

ROWS = np.random.default_rng(0).normal(size=(54, 12)) + 2
CLAIM = """
schema = "qkvcheck/claims/1"
[[claim]]
id = "mine"
statement = "something"
statistic = "{statistic}"
direction = "above"
threshold = 0.5
groups = ["{group}"]
measures = ["{measure}"]
primary = [["{group}", "{measure}"]]
{more}
"""


def claim_of(tmp_path, statistic, group, measure="cosine", more=""):
    path = tmp_path / "claims.toml"
    path.write_text(CLAIM.format(statistic=statistic, group=group, measure=measure, more=more))
    return load_claims(path).claims["mine"]


OURS = [one for one in statistics_by_name().values() if type(one).__module__.startswith("qkvcheck.")]


@pytest.mark.parametrize("statistic", OURS, ids=lambda one: one.name)
def test_every_statistic_says_what_it_is_of_and_takes_nothing_else(tmp_path, statistic):
    own = GROUPS_OF[statistic.axis]
    (other,) = (groups for axis, groups in GROUPS_OF.items() if axis != statistic.axis)
    for measure in statistic.measures:
        claim = claim_of(tmp_path, statistic.name, own[0], measure)
        assert claim.axis == statistic.axis  # nothing was said: the groups say it
        check_known(claim)
    with pytest.raises(ClaimError, match=f"{statistic.name} compares {statistic.axis}: its groups are {own[0]}, "):
        check_known(claim_of(tmp_path, statistic.name, other[0], statistic.measures[0]))
    (wrong,) = set(GROUPS_OF) - {statistic.axis}
    with pytest.raises(ClaimError, match=f"axis is '{wrong}' and has to be '{statistic.axis}'"):
        check_known(claim_of(tmp_path, statistic.name, own[0], statistic.measures[0], f'axis = "{wrong}"'))
    with pytest.raises(ClaimError, match=f"{statistic.name} is of .*, not of 'likeness'"):
        check_known(claim_of(tmp_path, statistic.name, own[0], "likeness"))
    with pytest.raises(ClaimError, match=f"{statistic.name} compares {statistic.axis}"):
        qkvcheck.judge(ROWS, statistic=statistic.name, group=other[0], above=0.5)


def test_a_measure_of_some_words_is_one_of_its_measure(tmp_path):
    check_known(claim_of(tmp_path, "token_minus_context", "Q", "variance-pronouns"))
    with pytest.raises(ClaimError, match="Did you mean 'cosine'"):
        check_known(claim_of(tmp_path, "row_mean", "Q", "cosin"))


@pytest.mark.parametrize("measure", ["similarity-pronouns", "cosine-pronouns"])
def test_of_some_words_there_is_the_variance_alone(tmp_path, measure):
    with pytest.raises(ClaimError, match=f"not of '{measure}'"):
        check_known(claim_of(tmp_path, "token_minus_context", "Q", measure))


@pytest.mark.parametrize(
    ("statistic", "measure", "capture", "known"),
    [
        ("token_share", "cosine", "words", False),
        ("row_mean", "cosine", "words", False),
        ("least_row_mean", "cosine", "target", False),
        ("token_identity", "accuracy", "target", False),
        ("row_mean", "cosine", "generic_removed", True),
        ("row_mean", "cosine", "target", True),
        ("stability", "cosine", "words", True),
    ],
)
def test_a_capture_of_other_arrays_is_refused(tmp_path, statistic, measure, capture, known):
    claim = claim_of(tmp_path, statistic, "Q", measure, f'capture = "{capture}"')
    if known:
        check_known(claim)
        return
    with pytest.raises(ClaimError, match=f"{statistic} is captured on .* and '{capture}' has other arrays"):
        check_known(claim)


def test_a_group_that_is_none_is_told_first(tmp_path):
    with pytest.raises(ClaimError, match=r"groups is .*keys.*; it has to be of Q, K, V, QQ, KK, VV, QK, QV, KV"):
        claim_of(tmp_path, "row_mean", "keys")


@pytest.mark.parametrize(
    ("statistic", "group", "arrays", "told"),
    [
        ("token_identity", "Q", ROWS, r"is of an array \(context, word, width\); given is one of shape \(54, 12\)"),
        ("token_share", "Q", ROWS, r"is of an array \(context, word, width\)"),
        ("row_mean", "Q", ROWS[:, None], r"is of an array \(context, width\)"),
        ("variance_difference", "QQ", ROWS, "takes 2 arrays; 1 given"),
        ("row_mean", "Q", (ROWS, ROWS), "takes 1 array; 2 given"),
        ("least_row_mean", "Q", (ROWS, ROWS[:, None]), r"is of an array \(context, width\)"),
    ],
)
def test_an_array_that_a_statistic_does_not_take_is_one_line(statistic, group, arrays, told):
    with pytest.raises(ClaimError, match=told):
        qkvcheck.judge(arrays, statistic=statistic, group=group, above=0.5)


def test_judge_takes_what_a_statistic_of_ones_own_takes(monkeypatch):
    """It need not say on what it is captured; where it says so, it is held to that."""

    class Two(Statistic):
        name, words, reading = "two_arrays", "a number", "any number."

        def compute(self, parts, _measure):
            return float(parts[0][0].mean() - parts[1][0].mean())

    class Said(Two):
        name = "two_said"
        captured_on = Capture.FRESH

    monkeypatch.setattr(registry, "_STATISTICS", dict(registry._STATISTICS))
    for one in (Two, Said):
        register_statistic(one)
        assert qkvcheck.judge([ROWS + 1, ROWS], statistic=one.name, group="Q", above=0.5).verdict == "SUPPORTED"
    with pytest.raises(ClaimError, match="two_said takes 2 arrays; 1 given"):
        qkvcheck.judge(ROWS, statistic="two_said", group="Q", above=0.5)


def test_an_axis_that_is_none_is_refused_when_it_is_registered():
    class Odd(Statistic):
        name, words, reading, axis = "odd_axis", "a number", "any number.", "rows"

        def compute(self, _parts, _measure):
            return 0.0

    with pytest.raises(ClaimError, match="has axis 'rows'; allowed: contexts, dimensions"):
        register_statistic(Odd)


def test_a_statistic_that_says_nothing_is_of_any_cell(tmp_path, monkeypatch):
    class Any(Statistic):
        name, words, reading = "any_cell", "a number", "any number."

        def compute(self, _parts, _measure):
            return 0.0

    monkeypatch.setattr(registry, "_STATISTICS", dict(registry._STATISTICS))
    register_statistic(Any)
    for group, axis in (("Q", "dimensions"), ("QK", "contexts")):
        check_known(claim_of(tmp_path, "any_cell", group, "likeness", f'axis = "{axis}"'))
