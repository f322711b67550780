"""Windows: every place of a target with the tokens before it; the same as counting by hand."""

from __future__ import annotations

import pytest

from qkvcheck.sweep.corpus.sources import Record
from qkvcheck.sweep.corpus.windows import Counts, clusters_in, windows_of
from tests.sweep.made_up import WORDS, Encoder, plan_of

HER, HIM = WORDS.index("her"), WORDS.index("him")


def found(text, **how):
    counts = Counts()
    plan = plan_of(**how)
    windows = list(windows_of(Record(3, text, how.get("label")), Encoder(), [HER, HIM], plan, counts, file=2))
    return windows, counts


def test_every_place_is_found_with_what_stands_before_it():
    windows, counts = found("I saw her and told him her", window=3)
    tokens = [tuple(Encoder().decode(w.tokens).split()) for w in windows]
    assert tokens == [("I", "saw", "her"), ("her", "?", "told", "him"), ("?", "told", "him", "her")]
    assert [w.target for w in windows] == [0, 1, 0]
    assert [w.context.target_index for w in windows] == [2, 3, 3]
    assert (counts.records, counts.occurrences, counts.bare) == (1, 3, 0)


def test_a_target_with_nothing_before_it_is_no_context():
    windows, counts = found("her again")
    assert (windows, counts.occurrences, counts.bare) == ([], 1, 1)


def test_the_same_tokens_have_the_same_key_whatever_stands_after():
    one, other, third = (found(text)[0][0].key for text in ("I saw her again", "I saw her .", "We saw her ."))
    assert one == other != third
    assert found("I saw her", seed=1)[0][0].key != one


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("auto", ["word 000000", "word 000001"]),
        ("first-word", ["word 000000", "word 000001"]),
        ("preceding-token", ["before 000003", "before 000003"]),
        ("document", ["record 2:3", "record 2:3"]),
        ("position", ["position 0002", "position 0002"]),
    ],
)
def test_clusters_are_those_of_the_experiments(how, expected):
    windows = [found(text)[0][0] for text in ("I saw her", "We saw her")]
    assert clusters_in(windows, plan_of(clusters=how)) == expected
