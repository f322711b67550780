"""Which rotations change no score, shown in every family's own attention; and what is told of contexts."""

from __future__ import annotations

import numpy as np
import pytest

from qkvcheck.capture.activations import Activations, sample_of
from qkvcheck.capture.freedom import CLIP, NORM, factors_of
from qkvcheck.capture.hooks import PRECEDING, capture, capture_words
from qkvcheck.capture.loaded import load_activations
from qkvcheck.capture.submission import read_submission
from qkvcheck.groups import FACTORS, Stage, Turns
from tests.models.families import CASES, LINE, Case, build, by_head, contexts_of
from tests.models.test_families import LACKING, SEQUENCES

FEW = [case for case in CASES if case.name not in LACKING[LINE]]


@pytest.mark.needs_time
@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # made by transformers 4
@pytest.mark.parametrize("case", FEW, ids=lambda case: case.name)
def test_pairs_are_what_attention_turns(case: Case):
    """Rotary embedding multiplies each pair, as a complex number, by one that hangs on place and pair alone."""
    hooked = build(case, "eager")
    contexts, layers = contexts_of(SEQUENCES), range(hooked.depth)
    early, late = (
        capture(hooked, contexts, layers=layers, positions="all", stage=stage, exact_layout=True)
        for stage in (Stage.PROJECTION, Stage.ATTENTION)
    )
    assert late.turns == (Turns(),) * hooked.depth
    clipped = hooked.architecture.clip(hooked.model.config) is not None
    for layer, turns in enumerate(early.turns):
        between = hooked.architecture.between_of(hooked.model.config, layer)
        assert turns.obstacle == (CLIP if clipped else NORM if "norm" in between else "")
        assert turns.of_values == (CLIP if clipped else "")
        assert bool(turns.rotary) == ("rotary" in between and not turns.obstacle)
        if turns.obstacle:
            continue
        before, after = by_head(hooked, early.values[:, layer]), by_head(hooked, late.values[:, layer])
        for name in ("Q", "K"):
            one, other = before[name], after[name]
            scale = np.linalg.norm(other) / np.linalg.norm(one)
            assert "scaling" in between or abs(scale - 1) < 1e-5
            behind = slice(turns.rotary, None)
            np.testing.assert_allclose(other[..., behind], one[..., behind] * scale, atol=1e-4)
            for a, b in turns.pairs:
                factor = (other[..., a] + 1j * other[..., b]) / (one[..., a] + 1j * one[..., b])
                np.testing.assert_allclose(factor, np.broadcast_to(factor[:1, :1], factor.shape), atol=2e-3)
                np.testing.assert_allclose(np.abs(factor), scale, rtol=2e-3)


def test_pairs_may_be_neighbours_or_halves_apart():
    assert Turns(6).pairs == ((0, 3), (1, 4), (2, 5))
    assert Turns(6, neighbours=True).pairs == ((0, 1), (2, 3), (4, 5))
    assert Turns().pairs == ()


def test_factors_are_first_token_preceding_token_and_position():
    contexts = contexts_of([[7, 8, 9], [7, 3], [5]])
    assert factors_of(contexts, [2, 1, 0]) == {
        "first token": ("token 000007", "token 000007", "token 000005"),
        "preceding token": ("token 000008", "token 000007", "none"),
        "position": ("position 0002", "position 0001", "position 0000"),
    }


def test_captures_tell_them_of_the_token_that_is_captured(embedded, replication):
    few = replication.subset(range(5))
    captured = capture(embedded, few, layers=[3])
    assert tuple(captured.factors) == FACTORS
    assert captured.factors == factors_of(few, few.target_indices)
    before = capture(embedded, few, layers=[3], positions=PRECEDING)
    assert before.factors == factors_of(few, [place - 1 for place in few.target_indices])
    grid = capture_words(embedded, few, [" her", " him", " people"], layers=[3])
    assert grid.factors == captured.factors
    assert capture(embedded, few, layers=[3], positions="all").factors == {}
    assert captured.turns == (Turns(),)
    rows = sample_of(captured, layer=3).rows
    assert rows.factors == captured.factors


def test_they_go_with_distinct_rows(embedded, replication):
    """Of contexts that are one the first is kept, with what is told of it."""
    twice = replication.subset([0, 0, 1])
    sample = sample_of(capture(embedded, twice, layers=[3]), layer=3)
    every = factors_of(replication, replication.target_indices)
    assert sample.rows.factors == {name: told[:2] for name, told in every.items()}
    assert [len(told) for told in sample.factors.values()] == [3, 3, 3]
    assert sample_of(capture(embedded, twice, layers=[3]), layer=3, head=1).heads == {"Q": 1, "K": 1, "V": 1}


def test_a_file_of_ours_keeps_them_and_another_tells_none(embedded, replication, tmp_path):
    captured = capture(embedded, replication.subset(range(4)), layers=[2, 3])
    captured.save(tmp_path / "ours.safetensors")
    again = load_activations(tmp_path / "ours.safetensors")
    assert (again.factors, again.turns) == (captured.factors, captured.turns)
    assert read_submission(tmp_path / "ours.safetensors").target.factors == captured.factors
    told = {"target": captured.values, "layers": [2, 3], "widths": [128, 128, 128]}
    np.savez(tmp_path / "theirs.npz", **told)
    theirs = read_submission(tmp_path / "theirs.npz").target
    assert theirs.factors == {}
    assert all(turns.obstacle for turns in theirs.turns)
    assert not any(turns.of_values for turns in theirs.turns)
    np.savez(tmp_path / "theirs.npz", **told, stage="attention")
    assert read_submission(tmp_path / "theirs.npz").target.turns == (Turns(), Turns())


def test_nothing_of_it_is_in_a_recipe(embedded, replication):
    """What numbers are kept and compared by is what it was."""
    few = replication.subset(range(3))
    recipe = "fa58dbd331653dd58364c6634f74d68729464aff8656dcb13749dd1d3a9920fa"
    assert capture(embedded, few, layers=[6]).provenance["recipe"] == recipe


def test_rows_of_no_model_know_nothing():
    bare = Activations(np.ones((2, 1, 3), np.float32), ("context", "layer", "width"), (6,), {"Q": slice(0, 3)})
    sample = sample_of(bare, layer=6)
    assert (sample.heads, sample.turns, sample.factors) == ({}, None, {})
