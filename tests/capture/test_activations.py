"""Activations: cut to a head."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qkvcheck.capture.activations import Activations, heads_in, sample_of
from qkvcheck.errors import CaptureError, NotCapturedError

PLACES = {"Q": slice(0, 12), "K": slice(12, 16), "V": slice(16, 20)}
HEADS = {"Q": 6, "K": 2, "V": 2}


def made(**fields) -> Activations:
    """Twelve queries in six heads of two, four keys and four values in two heads of two; columns tell their number."""
    rng = np.random.default_rng(0)
    values = (np.arange(20) + 100 * np.arange(24)[:, None, None] + 0 * rng.normal(size=(24, 2, 20))).astype(np.float32)
    known = {"heads": HEADS, **fields}
    return Activations(values, ("context", "layer", "width"), (5, 6), PLACES, **known)


@pytest.mark.parametrize("head", range(6))
def test_a_head_is_its_queries_and_the_keys_and_values_that_it_reads(head):
    sample = sample_of(made(), layer=6, head=head)
    shared = head // 3
    columns = [2 * head, 2 * head + 1, 12 + 2 * shared, 13 + 2 * shared, 16 + 2 * shared, 17 + 2 * shared]
    assert sample.arrays[0][0].tolist() == columns
    assert {name: sample.part(name)[0][0].tolist() for name in "QKV"} == {
        "Q": columns[:2], "K": columns[2:4], "V": columns[4:]
    }  # fmt: skip


def test_the_same_head_gives_the_same_sample():
    captured = made()
    assert sample_of(captured, layer=6, head=1) is sample_of(captured, layer=6, head=1)
    assert sample_of(captured, layer=6, head=1) is not sample_of(captured, layer=6)
    assert sample_of(captured, layer=6).arrays[0].shape == (24, 20)


def test_words_are_cut_too_and_so_is_each_of_several_captures():
    grid = replace(made(), values=np.zeros((24, 2, 3, 20), np.float32), axes=("context", "layer", "word", "width"))
    assert sample_of(grid, layer=5, head=5).arrays[0].shape == (24, 3, 6)
    both = (made(), made(clusters=("a",) * 24))
    assert heads_in(both) == HEADS
    assert [array.shape for array in sample_of(both, layer=5, head=5).arrays] == [(24, 6), (24, 6)]


def test_a_head_that_is_not_there_is_told():
    with pytest.raises(CaptureError, match=r"no head 6 \(zero-based\); a layer has 6, 0 to 5"):
        sample_of(made(), layer=6, head=6)
    with pytest.raises(NotCapturedError, match="how many heads Q, K and V have is not told"):
        sample_of(made(heads={}), layer=6, head=0)
    with pytest.raises(CaptureError, match="can't be cut into heads: 5 heads do not divide the width 12 of Q"):
        sample_of(made(heads={"Q": 5, "K": 1, "V": 1}), layer=6, head=0)
