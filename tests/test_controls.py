"""Samples, controls and drawn contexts."""

from __future__ import annotations

import numpy as np
import pytest

from qkvcheck import sampling
from qkvcheck.capture import capture
from qkvcheck.claims import load_claims
from qkvcheck.contexts import resolve_target
from qkvcheck.controls import Controls, Samples, sample_of, shuffled
from qkvcheck.corpora import encode_corpus, read_corpus
from qkvcheck.encoders import RecordedEncoder
from qkvcheck.errors import ContextError
from qkvcheck.models import untrained_twin
from qkvcheck.sampling import draw_contexts

from .conftest import ROOT

WORDS = load_claims(ROOT / "experiments" / "claims.toml").settings["words"]


@pytest.fixture(scope="module")
def samples(embedded, replication) -> Samples:
    return Samples(embedded, replication, layers=(5, 6), words=WORDS, fresh_count=59, fresh_seed=1)


def test_target_and_preceding_are_what_stands_there(samples):
    everywhere, mask = samples.everywhere.values, samples.everywhere.mask
    for row, index in enumerate(samples.contexts.target_indices):
        np.testing.assert_allclose(samples.target.values[row], everywhere[row, :, index], atol=1e-6)
        np.testing.assert_allclose(samples.preceding.values[row], everywhere[row, :, index - 1], atol=1e-6)
        assert mask[row, index]


def test_words_begin_with_the_target(samples):
    grid = samples.words()
    assert grid.values.shape == (54, 2, 20, 384)
    np.testing.assert_allclose(grid.values[:, :, 0], samples.target.values, atol=1e-5)
    assert samples.words("pronouns").values.shape[2] == 7
    assert samples.words("others").values.shape[2] == 13
    np.testing.assert_array_equal(samples.words("others").values, grid.values[:, :, 7:])


def test_matched_arms_hold_each_position_equally(samples, embedded):
    target, preceding = samples.matched
    assert target.values.shape == preceding.values.shape == (43, 2, 384)
    balanced = encode_corpus(read_corpus("balanced"), embedded.encoder, target=" her")
    everywhere = capture(embedded, balanced, layers=[6], positions="all")
    places = [int(np.abs(everywhere.at(6) - row).max(axis=2).argmin() % 8) for row in target.at(6)]
    before = [int(np.abs(everywhere.at(6) - row).max(axis=2).argmin() % 8) for row in preceding.at(6)]
    assert sorted(places) == sorted(before)
    assert set(places) == {2, 3, 4, 5}


def test_controls(samples, embedded):
    controls = Controls(samples, seed=0)
    found = controls.of(lambda s: s.target)
    assert set(found) == {"non-target", "untrained", "shuffled"}
    np.testing.assert_array_equal(found["non-target"].values, samples.preceding.values)
    twin = capture(untrained_twin(embedded, seed=0), samples.contexts, layers=(5, 6))
    np.testing.assert_array_equal(found["untrained"].values, twin.values)
    mixed = found["shuffled"].values
    assert not np.array_equal(mixed, samples.target.values)
    np.testing.assert_array_equal(np.sort(mixed[:, 1].ravel()), np.sort(samples.target.values[:, 1].ravel()))


def test_shuffle_keeps_layers_apart_and_depends_on_its_generator(samples):
    first, again, other = (shuffled(samples.target, rng=np.random.default_rng(s)) for s in (0, 0, 1))
    np.testing.assert_array_equal(first.values, again.values)
    assert not np.array_equal(first.values, other.values)


def test_sample_of_takes_a_layer(samples):
    sample = sample_of((samples.fresh, samples.target), layer=5)
    np.testing.assert_array_equal(sample.arrays[1], samples.target.at(5))
    assert sample.arrays[0].shape == (59, 384)


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
