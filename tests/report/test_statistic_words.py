"""Every statistic has words, and words for its scale."""

from __future__ import annotations

import pytest

from qkvcheck.claims.evidence import Evidence
from qkvcheck.groups import MEASURES
from qkvcheck.report.statistic_words import scale_words, statistic_words
from qkvcheck.statistics.registry import statistic_named, statistics_by_name
from tests.made_up import make_verdict, search_record


@pytest.mark.parametrize("name", sorted(statistics_by_name()))
@pytest.mark.parametrize("measure", MEASURES)
def test_every_statistic_has_words(name, measure):
    told = statistic_words(make_verdict(statistic=name, measure=measure))
    assert "{" not in told
    assert "_" not in told
    assert statistic_named(name).words
    assert scale_words(make_verdict(statistic=name, measure=measure)) == statistic_named(name).reading


def test_the_scale_of_a_difference_or_of_a_search_is_its_own():
    assert "larger there" in scale_words(make_verdict(kind="against_untrained", evidence=Evidence(number=0.2)))
    searched = make_verdict(statistic="row_mean", kind="search", evidence=Evidence(search=search_record()))
    assert "refutes" in scale_words(searched)
    assert scale_words(make_verdict(statistic="my_number")) is None


def test_own_statistics_keep_their_name():
    assert statistic_words(make_verdict(statistic="my_number", measure="angle")) == "my number (angle)"
