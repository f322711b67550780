"""Every statistic has words, and words for its scale."""

from __future__ import annotations

import pytest

from qkvcheck.report.statistic_words import STATISTIC_SCALES, STATISTIC_WORDS, scale_words, statistic_words
from qkvcheck.statistics.sample import STATISTICS
from qkvcheck.statistics.similarity import MEASURES
from tests.made_up import make_verdict


@pytest.mark.parametrize("name", sorted(STATISTICS))
@pytest.mark.parametrize("measure", MEASURES)
def test_every_statistic_has_words(name, measure):
    told = statistic_words(make_verdict(statistic=name, measure=measure))
    assert "{" not in told
    assert "_" not in told
    assert name in STATISTIC_WORDS
    assert scale_words(make_verdict(statistic=name, measure=measure)) == STATISTIC_SCALES[name]


def test_the_scale_of_a_difference_or_of_a_search_is_its_own():
    assert "larger there" in scale_words(make_verdict(evidence={"number": 0.2}))
    assert "refutes" in scale_words(make_verdict(statistic="row_mean", evidence={"search": {}}))
    assert scale_words(make_verdict(statistic="my_number")) is None


def test_own_statistics_keep_their_name():
    assert statistic_words(make_verdict(statistic="my_number", measure="angle")) == "my number (angle)"
