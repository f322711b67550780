"""Explain says what its words for a control mean: those that stand in it, and no others."""

from __future__ import annotations

import pytest

from qkvcheck.claims.verdict import ControlResult
from qkvcheck.record.finding import Finding
from qkvcheck.report.explain import MEANT, explain_lines
from qkvcheck.statistics import Specificity
from tests.made_up import make_run, make_verdict


def lines_of(*words):
    controls = tuple(ControlResult("different-words", 0.4, 0.1, False, 0.0, 0.2, one, kind="paired") for one in words)
    return explain_lines(Finding(make_verdict(controls=controls)), make_run())


@pytest.mark.parametrize("word", Specificity)
def test_a_word_for_a_control_is_explained(word):
    lines = lines_of(word)
    at = lines.index("How the claim stands against them")
    assert lines[at + 1].split(None, len(word.split()))[-1] == MEANT[word]
    assert not any(text in line for line in lines for other, text in MEANT.items() if other != word)


def test_nothing_is_explained_that_is_not_said():
    assert "How the claim stands against them" not in lines_of(None)
