"""Samples: what stands at each position, and matched arms."""

from __future__ import annotations

import numpy as np
import pytest

from qkvcheck.capture.hooks import capture
from qkvcheck.capture.samples import Plan, Samples
from qkvcheck.claims.claims_file import load_claims
from qkvcheck.contexts.corpora import encode_corpus, read_corpus
from tests.conftest import CLAIM_FILES

WORDS = load_claims(*CLAIM_FILES).words.lists()


@pytest.fixture(scope="module")
def samples(embedded, replication) -> Samples:
    return Samples(embedded, replication, Plan((5, 6), WORDS, fresh_count=59, fresh_seed=1))


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


def test_controls_have_the_clusters_that_the_corpus_own_target_chose(embedded, replication, monkeypatch):
    chosen = []

    def rule(every):
        chosen.append(every)
        return ("position",) if len(chosen) > 1 else ("preceding token", "first token")

    monkeypatch.setattr("qkvcheck.capture.samples.governing_factors", rule)
    samples = Samples(embedded, replication, Plan((5, 6), WORDS, clusters="explains-most"))
    for one in (samples, samples.at_layers([2]), samples.untrained(0)):
        assert one.target.provenance["clusters"] == "preceding token"
    assert [len(every) for every in chosen] == [2]
    np.testing.assert_array_equal(chosen[0][1].arrays[0], samples.target.at(6))
    monkeypatch.setattr("qkvcheck.capture.samples.governing_factors", lambda _: ())
    samples = Samples(embedded, replication, Plan((6,), WORDS, clusters="explains-most"))
    assert samples.target.provenance["clusters"] == "distinct row"


def test_further_contexts_captured_together_are_what_each_is_alone(samples, embedded):
    """In any number, of any length, in their order; those that are known already are not run again."""
    balanced = encode_corpus(read_corpus("balanced"), embedded.encoder, target=" her").contexts[:5]
    fresh = Samples(embedded, samples.contexts, samples.plan)
    one = fresh.alone(balanced[1], 6)
    fresh.prepare(balanced, 6)
    assert fresh.alone(balanced[1], 6) is one
    for context in balanced:
        own = samples.alone(context, 6)
        assert fresh.alone(context, 6).values == pytest.approx(own.values, abs=1e-5)
        assert fresh.alone(context, 6).seen == own.seen
        assert fresh.alone(context, 6).factors == own.factors
