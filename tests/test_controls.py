"""Samples, controls and drawn contexts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qkvcheck.capture.hooks import capture
from qkvcheck.capture.samples import Plan, Samples
from qkvcheck.claims.claim import load_claims
from qkvcheck.claims.controls import NAMES, Controls
from qkvcheck.claims.untrained import Twins, Untrained, default_seeds, sample_of
from qkvcheck.contexts import sampling
from qkvcheck.contexts.context import resolve_target
from qkvcheck.contexts.corpora import encode_corpus, read_corpus
from qkvcheck.contexts.sampling import draw_contexts, other_words
from qkvcheck.errors import ContextError, NotCapturedError
from qkvcheck.models.loading import untrained_twin
from qkvcheck.models.tokenizers import RecordedEncoder
from qkvcheck.settings import CONTROLS

from .conftest import ROOT

WORDS = load_claims(ROOT / "experiments" / "claims.toml").settings["words"]


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


def test_names():
    assert set(NAMES) == set(CONTROLS)


@pytest.fixture(scope="module")
def found(samples):
    return Controls(samples, seed=0, untrained_seeds=2).of(lambda s: s.target)


def test_non_target(samples, found):
    np.testing.assert_array_equal(found["non-target"].values, samples.preceding.values)


def test_other_token_stands_in_the_same_frames(samples, found):
    him = samples.hooked.encoder.encode(" him")[0]
    grid = samples.words()
    place = WORDS["pronouns"].index(" him")
    np.testing.assert_allclose(found["other-token"].values, grid.values[:, :, place], atol=1e-5)
    assert found["other-token"].clusters == samples.target.clusters
    assert him != samples.contexts.target_id


def test_different_words_stand_in_the_same_frames(samples, embedded, found):
    captured = found["different-words"]
    assert captured.clusters == samples.target.clusters
    words = other_words()
    assert len(words) == len(set(words)) >= 54
    assert " her" not in words
    # By hand: the contexts in the order of their prefixes get the words in theirs.
    order = sorted(range(54), key=lambda row: str(samples.contexts.contexts[row].prefix))
    for number in (0, 17, 53):
        row = order[number]
        context = samples.contexts.contexts[row].continued(embedded.encoder.encode(words[number])[0], word="w")
        alone = capture(embedded, replace(samples.contexts, contexts=(context,)), layers=(5, 6))
        np.testing.assert_allclose(captured.values[row], alone.values[0], atol=1e-5)


def test_controls_do_not_depend_on_the_order_of_the_contexts(embedded, samples, found, rng):
    order = rng.permutation(54)
    mixed = Samples(embedded, samples.contexts.subset(order), samples.plan)
    other = Controls(mixed, seed=0, untrained_seeds=1).of(lambda s: s.target)
    for name in ("different-words", "other-token", "non-target"):
        np.testing.assert_allclose(other[name].values, found[name].values[order], atol=1e-5)


def test_position_matched(samples, found):
    at_two = [row for row, index in enumerate(samples.contexts.target_indices) if index == 2]
    assert len(at_two) == 37
    np.testing.assert_allclose(found["position-matched"].values, samples.target.values[at_two], atol=1e-5)


def test_controls_that_make_no_sense_say_so(samples):
    controls = Controls(samples, seed=0, untrained_seeds=1)
    for choose, names in (
        (lambda s: s.words(), ("different-words", "non-target")),
        (lambda s: s.matched, ("non-target", "position-matched")),
    ):
        for name in names:
            with pytest.raises(NotCapturedError):
                _ = controls.of(choose)[name]
    one_position = Samples(samples.hooked, samples.contexts.subset([0, 0, 0]), samples.plan)
    with pytest.raises(NotCapturedError, match="at one position in all contexts"):
        _ = Controls(one_position).of(lambda s: s.target)["position-matched"]


def test_untrained_seeds(samples, embedded, found):
    seeds = found["untrained"].at(6, samples.target)
    assert seeds.count == 2
    rows = seeds.measure("rows", lambda sample: sample.arrays[0].tolist())
    for seed, values in enumerate(rows):
        twin = capture(untrained_twin(embedded, seed=seed), samples.contexts, layers=(5, 6))
        np.testing.assert_allclose(np.array(values), twin.at(6), atol=1e-6)
    assert seeds.measure("rows", lambda sample: sample.arrays[0].tolist(), first=1) == rows[:1]


def test_an_untrained_model_is_not_its_own_control(full_size, samples):
    assert Twins(Samples(full_size, samples.contexts, samples.plan), seed=0, count=3).seeds == [1, 2, 3]
    assert (default_seeds(2_559_744), default_seeds(124_439_808)) == (19, 1)


def test_untrained_numbers_are_kept_on_disk(samples, tmp_path):
    def numbers(choose, what="a", layer=6, folder=tmp_path):
        calls = []

        def compute(sample):
            calls.append(1)
            return float(sample.arrays[0].sum())

        untrained = Untrained(Twins(samples, seed=0, count=2, folder=folder), choose)
        return untrained.at(layer, choose(samples)).measure(what, compute), len(calls)

    def target(s):
        return s.target

    first, made = numbers(target)
    assert made == 2
    assert numbers(target) == (first, 0)
    assert numbers(target, what="b") == (first, 2)
    assert numbers(target, layer=5)[1] == 2
    assert numbers(lambda s: s.preceding)[1] == 2
    assert numbers(target, folder=None) == (first, 2)
    for path in tmp_path.iterdir():
        path.write_text("{ broken")
    assert numbers(target) == (first, 2)


def test_sample_of_takes_a_layer(samples):
    sample = sample_of((samples.fresh, samples.target), layer=5)
    np.testing.assert_array_equal(sample.arrays[1], samples.target.at(5))
    assert sample.cluster_kind == "first word"
    assert [len(clusters) for clusters in sample.clusters] == [59, 54]
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


class Forgetful:
    """A tokenizer with one token, number 0, for the words that it does not know."""

    def __init__(self, encoder, known):
        self._encoder, self._known, self.name = encoder, known, "forgetful"

    def encode(self, text):
        return self._encoder.encode(text) if text in self._known else [0]

    def decode(self, token_ids):
        return self._encoder.decode(token_ids)


@pytest.mark.parametrize("known", [(" coat", " boat", " him"), (" coat",)])
def test_unknown_words_are_no_other_words(embedded, replication, known):
    hooked = replace(embedded, encoder=Forgetful(embedded.encoder, known))
    controls = Controls(Samples(hooked, replication, Plan((6,), WORDS)), seed=0)
    different = controls.different_words
    if len(known) < 2:
        for control, reason in (
            (different, "forgetful has no other words"),
            (controls.other_token, "no other pronoun"),
        ):
            with pytest.raises(NotCapturedError, match=reason):
                _ = control.target
        return
    changed = different._variant.change(replication)
    used = {context.token_ids[context.target_index] for context in changed.contexts}
    assert used == {embedded.encoder.encode(word)[0] for word in (" coat", " boat")}
