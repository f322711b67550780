"""Controls: what each one changes, and where one makes no sense."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qkvcheck.capture.hooks import capture
from qkvcheck.capture.samples import Plan, Samples
from qkvcheck.claims.claims_file import load_claims
from qkvcheck.claims.controls.collection import Controls
from qkvcheck.claims.controls.registry import controls_by_name
from qkvcheck.contexts.sampling import other_words
from qkvcheck.errors import NotCapturedError
from tests.conftest import ROOT

WORDS = load_claims(*(ROOT / "experiments" / name for name in ("claims.toml", "beyond.toml"))).words.lists()


@pytest.fixture(scope="module")
def samples(embedded, replication) -> Samples:
    return Samples(embedded, replication, Plan((5, 6), WORDS, fresh_count=59, fresh_seed=1))


def test_names():
    ours = [name for name, one in controls_by_name().items() if type(one).__module__.startswith("qkvcheck.")]
    assert ours == [
        "different-words", "other-token", "untrained", "non-target", "position-matched", "within-column", "shuffled",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def found(samples):
    return Controls(samples, seed=0, untrained_seeds=2).of("target")


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
    other = Controls(mixed, seed=0, untrained_seeds=1).of("target")
    for name in ("different-words", "other-token", "non-target"):
        np.testing.assert_allclose(other[name].values, found[name].values[order], atol=1e-5)


def test_position_matched(samples, found):
    at_two = [row for row, index in enumerate(samples.contexts.target_indices) if index == 2]
    assert len(at_two) == 37
    np.testing.assert_allclose(found["position-matched"].values, samples.target.values[at_two], atol=1e-5)


def test_controls_that_make_no_sense_say_so(samples):
    controls = Controls(samples, seed=0, untrained_seeds=1)
    for capture_name, names in (
        ("words", ("different-words", "non-target")),
        ("matched", ("non-target", "position-matched")),
    ):
        for name in names:
            with pytest.raises(NotCapturedError):
                _ = controls.of(capture_name)[name]
    one_position = Samples(samples.hooked, samples.contexts.subset([0, 0, 0]), samples.plan)
    with pytest.raises(NotCapturedError, match="at one position in all contexts"):
        _ = Controls(one_position).of("target")["position-matched"]


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
    if len(known) < 2:
        for name, reason in (
            ("different-words", "forgetful has no other words"),
            ("other-token", "no other pronoun"),
        ):
            with pytest.raises(NotCapturedError, match=reason):
                _ = controls.under(name).target
        return
    changed = controls.under("different-words")._variant.change(replication)
    used = {context.token_ids[context.target_index] for context in changed.contexts}
    assert used == {embedded.encoder.encode(word)[0] for word in (" coat", " boat")}
