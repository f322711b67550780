"""Progress: what work tells of itself, in which order, and what is left of it."""

from __future__ import annotations

import numpy as np
import pytest

from qkvcheck.groups import Comparison
from qkvcheck.statistics.basis.rotations import rotated_values
from qkvcheck.statistics.many.progress import Work, duration_text, each, listening, progress_text, share_done, work
from qkvcheck.statistics.measurement import measure
from qkvcheck.statistics.registry import statistic_named
from qkvcheck.statistics.sample import Sample

pytestmark = pytest.mark.quick


def told_by(run):
    told = []
    with listening(lambda every: told.append([(one.phase, one.done, one.total) for one in every])):
        run()
    return told


def test_nested_work_is_told_from_the_outside_and_then_that_it_is_over():
    def run():
        for _ in each("networks", "ab"):
            with work("contexts", 5) as inner:
                inner.advance(5)

    assert told_by(run) == [
        [("networks", 0, 2), ("contexts", 5, 5)],
        [("networks", 1, 2)],
        [("networks", 1, 2), ("contexts", 5, 5)],
        [("networks", 2, 2)],
        [],
    ]


def test_work_that_breaks_is_over():
    def run():
        with pytest.raises(ZeroDivisionError), work("contexts", 5) as own:
            own.advance(1 // 0)

    assert told_by(run) == [[]]


def test_nobody_is_told_after_listening():
    told = []
    with listening(told.append):
        pass
    list(each("contexts", [1, 2]))
    assert told == []


def test_the_time_left_counts_what_is_done_within():
    outer, inner = Work("networks", 4, begun=0.0, done=1), Work("contexts", 10, begun=100.0, done=5)
    assert share_done([outer, inner]) == pytest.approx(1.5 / 4)
    assert progress_text([outer, inner], now=150.0) == ("networks 1 of 4: contexts 5 of 10, 0.1/s, 4 min left")


@pytest.mark.parametrize(
    ("done", "seconds", "text"),
    [(20_000, 4.0, "5,000/s"), (6, 4.0, "1.5/s"), (1, 40.0, "1.5/min")],
)
def test_rates_are_told_in_units_that_fit(done, seconds, text):
    assert f", {text}, " in progress_text([Work("contexts", 100_000, begun=0.0, done=done)], now=seconds)


def test_nothing_done_has_no_rate_and_no_end():
    assert progress_text([Work("contexts", 9, begun=0.0)], now=1.0) == "contexts 0 of 9"


def test_durations():
    assert [duration_text(s) for s in (3.4, 119.0, 121.0, 7300.0)] == ["3 s", "119 s", "2 min", "2.0 h"]


@pytest.mark.parametrize(("name", "n"), [("offset_share", 30), ("variance", 600)])
def test_a_jackknife_tells_of_its_deletions(name, n):
    x = np.random.default_rng(0).normal(size=(n, 8)) + 1
    sample = Sample((x,), {"Q": slice(0, 8)})
    told = told_by(lambda: measure(statistic_named(name), sample, Comparison("QQ", "cosine")).replicates)
    assert {one[0][0] for one in told if one} == {"deletions"}
    assert told[-1] == []


def test_rotations_are_told():
    x = np.random.default_rng(0).normal(size=(30, 8))
    rows = Sample((x,), {"V": slice(0, 8)}, heads={"V": 2}).rows
    place = Comparison("VV", "cosine")
    told = told_by(lambda: rotated_values(statistic_named("variance"), rows, [place], count=3))
    assert [one[0][:2] for one in told if one] == [("rotations", 1), ("rotations", 2), ("rotations", 3)]
