"""A target of several tokens: the last one is captured, and what stands before it stands before the first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from qkvcheck.capture.hooks import capture, capture_words
from qkvcheck.capture.samples import Plan, Samples
from qkvcheck.claims.controls.registered.different_words import DifferentWords
from qkvcheck.claims.controls.registered.non_target import NonTarget
from qkvcheck.claims.controls.registered.other_token import OtherToken
from qkvcheck.contexts.corpora import encode_corpus, read_corpus
from qkvcheck.contexts.sampling import draw_contexts
from qkvcheck.errors import CaptureError, NotCapturedError
from qkvcheck.groups import PRECEDING_TOKEN

TARGET = " kingdom"
BEFORE = ("The king was", "She is", "A doctor told him an", "Nobody saw the old", "My friend was", "They gave an")
WORDS = {"pronouns": [" her", " him"], "others": [" book"]}


@pytest.fixture(scope="module")
def several(embedded, tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "mine.txt"
    path.write_text("\n".join(f"{before}{TARGET} good {end}" for before in BEFORE for end in ("thing", "book now")))
    return encode_corpus(read_corpus(path), embedded.encoder, target=TARGET)


@pytest.fixture(scope="module")
def samples(embedded, several) -> Samples:
    return Samples(embedded, several, Plan((5, 6), WORDS, fresh_count=20, fresh_seed=1, clusters="preceding-token"))


def plain(model, token_ids) -> np.ndarray:
    """Return what layer 6's projection puts out of one sequence, from transformers alone: (token, width)."""
    kept = []
    handle = model.transformer.h[6].attn.c_attn.register_forward_hook(lambda _m, _i, out: kept.append(out))
    with torch.no_grad():
        model(torch.tensor([list(token_ids)]))
    handle.remove()
    return kept[0][0].numpy()


def test_the_last_token_is_captured_and_the_one_before_the_first(embedded, several, samples):
    ids = embedded.encoder.encode(TARGET)
    assert several.target_ids == tuple(ids)
    assert len(ids) == 3
    for row, context in enumerate(several.contexts):
        before = embedded.encoder.encode(context.text[: context.text.index(TARGET)])
        assert context.prefix == tuple(before)
        expected = plain(embedded.model, context.token_ids)
        np.testing.assert_allclose(samples.target.at(6)[row], expected[len(before) + len(ids) - 1], atol=2e-5)
        np.testing.assert_allclose(samples.preceding.at(6)[row], expected[len(before) - 1], atol=2e-5)
        assert samples.target.factors[PRECEDING_TOKEN][row] == f"token {before[-1]:06d}"
        assert samples.target.clusters[row] == f"before {before[-1]:06d}"
        assert samples.preceding.factors[PRECEDING_TOKEN][row] == f"token {before[-2]:06d}"


def test_other_words_take_the_place_of_all_its_tokens(embedded, several, samples):
    grid = samples.words()
    for row, context in enumerate(several.contexts):
        np.testing.assert_allclose(grid.at(6)[row, 0], samples.target.at(6)[row], atol=2e-5)
        for column, word in ((1, " her"), (2, " him")):
            ids = [*context.prefix, *embedded.encoder.encode(word)]
            np.testing.assert_allclose(grid.at(6)[row, column], plain(embedded.model, ids)[-1], atol=2e-5)
    other = OtherToken().vary(samples)
    assert (other.contexts.target_ids, other.contexts.preceding_indices) == (
        tuple(embedded.encoder.encode(other.contexts.target)),
        several.preceding_indices,
    )
    np.testing.assert_allclose(
        other.target.at(6)[0],
        plain(embedded.model, [*several.contexts[0].prefix, other.contexts.target_id])[-1],
        atol=2e-5,
    )
    assert DifferentWords().vary(samples).target.values.shape == samples.target.values.shape


def test_a_word_of_several_tokens_that_is_not_the_target_is_refused(embedded, several):
    with pytest.raises(CaptureError, match="it must be exactly one"):
        capture_words(embedded, several, [TARGET, " unbelievably"], layers=[6])


def test_the_control_before_it_is_never_its_own_piece(embedded, several, samples):
    varied = NonTarget().vary(samples)
    np.testing.assert_array_equal(varied.target.values, samples.preceding.values)
    first = encode_corpus(read_corpus(_alone(several)), embedded.encoder, target=TARGET.strip())
    with pytest.raises(NotCapturedError, match="no token before the target"):
        NonTarget().vary(Samples(embedded, first, Plan((6,), WORDS)))


def _alone(several) -> str:
    path = Path(several.name).with_name("alone.txt")
    path.write_text(f"{TARGET.strip()} good\n{TARGET.strip()} bad\n")
    return str(path)


def test_matched_positions(samples, several):
    target, preceding = samples.matched_within
    everywhere = capture(samples.hooked, several, layers=[6], positions="all")

    def places(rows):
        return sorted(int(np.abs(everywhere.at(6) - row).max(axis=2).min(axis=0).argmin()) for row in rows.at(6))

    assert places(target) == places(preceding) == [4, 4]
    alike = several.subset(range(2))
    with pytest.raises(NotCapturedError, match="no position holds ' kingdom' in one of the contexts and what stands"):
        _ = Samples(samples.hooked, alike, Plan((6,), WORDS)).matched_within


def test_fresh_contexts_hold_all_of_it(embedded, several, samples):
    drawn = draw_contexts(
        embedded.encoder,
        count=20,
        rng=np.random.default_rng(1),
        target=TARGET,
        target_id=several.target_id,
        earlier=several.earlier,
    )
    for row, context in enumerate(drawn.contexts):
        assert context.text.count(TARGET) == 1
        assert context.token_ids[context.target_start : context.target_index + 1] == several.target_ids
        expected = plain(embedded.model, context.token_ids[: context.target_index + 1])[-1]
        np.testing.assert_allclose(samples.fresh.at(6)[row], expected, atol=2e-5)
        assert samples.fresh.clusters[row] == f"before {context.prefix[-1]:06d}"
