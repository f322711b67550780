"""Contexts drawn at random."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from qkvcheck.contexts import sampling
from qkvcheck.contexts.sampling import draw_contexts
from qkvcheck.contexts.targets import resolve_target
from qkvcheck.contexts.vocabulary import parts_before
from qkvcheck.errors import ContextError
from qkvcheck.models.tokenizers import RecordedEncoder


def draw(encoder, seed, count=59, **options):
    text, number = resolve_target(" her", encoder)
    return draw_contexts(
        encoder, count=count, rng=np.random.default_rng(seed), target=text, target_id=number, **options
    )


def test_drawn_contexts(embedded, replication):
    exclude = frozenset(context.prefix for context in replication.contexts)
    for encoder in (embedded.encoder, RecordedEncoder()):
        drawn = draw(encoder, 1, exclude=exclude)
        assert len({context.prefix for context in drawn.contexts}) == len(drawn) == 59
        assert not {context.prefix for context in drawn.contexts} & exclude
        assert drawn.sha256 == draw(encoder, 1, exclude=exclude).sha256 != draw(encoder, 2).sha256
        assert set(drawn.target_indices) == {2, 3, 4, 5}


@pytest.mark.parametrize("grammatical", [False, True])
def test_both_encoders_draw_the_same_sentences(embedded, grammatical):
    """Every word of the lists is one token to both, so that they agree on places too."""
    drawn = [draw(encoder, 3, grammatical=grammatical).contexts for encoder in (embedded.encoder, RecordedEncoder())]
    assert [(c.text, c.target_index) for c in drawn[0]] == [(c.text, c.target_index) for c in drawn[1]]


def test_the_targets_part_in_the_sentence_varies(embedded):
    """Each part about as often; every phrase that stands before the target is one of the lists."""
    parts = parts_before()
    drawn = draw(RecordedEncoder(), 1, count=300, grammatical=True)
    found = Counter()
    for context in drawn.contexts:
        before = context.text.partition(" her")[0]
        held = [part for part, texts in parts.items() if any(before.endswith(f" {text}") for text in texts)]
        assert held, context.text
        found[held[0]] += 1
    assert set(found) == set(parts)
    assert min(found.values()) >= 25
    assert draw(embedded.encoder, 1, count=30, grammatical=True).sha256 != draw(embedded.encoder, 1, count=30).sha256


def test_what_is_drawn_for_p5_plus_is_what_it_was():
    """The claim's contexts were fixed beforehand: further lists change none of them."""
    drawn = draw(RecordedEncoder(), 20261124)
    assert drawn.sha256 == "5543ed23fec82cac8fb1a7056bff69334b8b5a53482c1588d76485f3219daf0a"


def test_more_contexts_than_there_are(embedded, monkeypatch):
    monkeypatch.setattr(sampling, "_TRIES_PER_CONTEXT", 1)
    with pytest.raises(ContextError, match="2000 different contexts were asked for and the word lists gave"):
        draw(embedded.encoder, 0, count=2_000)
