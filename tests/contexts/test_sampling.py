"""Contexts drawn at random."""

from __future__ import annotations

import numpy as np
import pytest

from qkvcheck.contexts import sampling
from qkvcheck.contexts.context import resolve_target
from qkvcheck.contexts.sampling import draw_contexts
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


def test_both_encoders_draw_the_same_sentences(embedded):
    texts = [[c.text for c in draw(encoder, 3).contexts] for encoder in (embedded.encoder, RecordedEncoder())]
    assert texts[0] == texts[1]


def test_more_contexts_than_there_are(embedded, monkeypatch):
    monkeypatch.setattr(sampling, "_TRIES_PER_CONTEXT", 1)
    with pytest.raises(ContextError, match="2000 different contexts were asked for and the word lists gave"):
        draw(embedded.encoder, 0, count=2_000)
