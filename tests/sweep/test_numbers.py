"""Numbers from sums: equal to those of the rows themselves, whole and without each group."""

from __future__ import annotations

import numpy as np
import pytest

from qkvcheck.errors import NotCapturedError
from qkvcheck.groups import Comparison
from qkvcheck.statistics import Sample, decompose, measure, statistic_named, summarise_group
from qkvcheck.sweep.judged.numbers import Place, answers, without
from qkvcheck.sweep.judged.samples import sample_at
from qkvcheck.sweep.state import Shape, merge_states, state_of, to_draw
from tests.sweep.made_up import BLOCKS

N = 90
RNG = np.random.default_rng(3)
ROWS = (RNG.normal(size=(N, 2, 12)) * RNG.uniform(0.3, 2, size=12) + 2 * np.linspace(-1, 1, 12)).astype(np.float32)
LABELS = [f"word {n % 15:02d}" for n in range(N)]
KEYS = np.arange(N, dtype=np.uint64) * np.uint64(10**15)
SHAPE = Shape(20, 30, 0, BLOCKS)


def swept(pieces=4):
    state = None
    for part in np.array_split(np.arange(N), pieces):
        texts = {int(at): "" for at in to_draw(KEYS[part], SHAPE)}
        new = state_of(ROWS[part], [LABELS[n] for n in part], KEYS[part], texts, [3] * len(part), SHAPE)
        state = new if state is None else merge_states(state, new)
    return state


STATE = swept()
PAIRS = ("variance", "mean_absolute", "sign_balance", "collapse", "mean_square", "unimodal_excess", "block_difference",
         "offset_share")  # fmt: skip


@pytest.mark.parametrize("role", ["target", "preceding"])
@pytest.mark.parametrize(
    ("name", "group", "how"),
    [
        *((name, group, how) for name in PAIRS for group in ("QQ", "QK", "KV") for how in ("cosine", "pearson")),
        *(
            (name, group, how)
            for name in ("row_mean", "row_cosine")
            for group in "QKV"
            for how in ("cosine", "pearson")
        ),
    ],
)
def test_numbers_are_those_of_the_rows(name, group, how, role):
    statistic, comparison = statistic_named(name), Comparison(group, how)
    place = ("target", "preceding").index(role)
    rows = Sample((ROWS[:, place],), BLOCKS, clusters=(tuple(LABELS),))
    ours = sample_at(STATE, layers=(6,), layer=6, role=role, kind="first token", deduplicated=False, heads={})
    expected, found = (measure(statistic, sample, comparison) for sample in (rows, ours))
    assert found.plug_in == pytest.approx(expected.plug_in, abs=1e-13)
    np.testing.assert_allclose(found.replicates.without, expected.replicates.without, rtol=0, atol=1e-13)
    one, other = found.estimate(), expected.estimate()
    assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high), abs=1e-11)


def test_shapes_and_offsets_are_those_of_the_rows():
    sample = sample_at(STATE, layers=(6,), layer=6, role="target", kind="first token", deduplicated=False, heads={})
    for group in ("QQ", "KV"):
        x, y = (ROWS[:, 0, BLOCKS[name]] for name in group)
        own = measure(statistic_named("variance"), sample, Comparison(group, "cosine"))
        expected = summarise_group(x, None if group == "QQ" else y, kernel="reference")
        assert own.distribution.histogram == expected.counts.tolist()
        parts = decompose(x, None if group == "QQ" else y)
        for name in ("mean_square", "offset", "cross", "residual", "offset_only", "pearson_mean_square", "mean"):
            assert getattr(own.offset, name) == pytest.approx(getattr(parts, name), abs=1e-13), name


def test_effective_contexts_and_clusters():
    sample = sample_at(STATE, layers=(6,), layer=6, role="target", kind="first token", deduplicated=False, heads={})
    own = measure(statistic_named("variance"), sample, Comparison("QQ", "cosine"))
    assert (own.rows.n, own.rows.n_distinct, len(own.rows.clusters)) == (N, N, 15)
    assert own.effective_contexts == pytest.approx(15)
    assert own.obstacle(axis="dimensions", min_distinct=20) is None
    assert "at least 91" in own.obstacle(axis="dimensions", min_distinct=91)


def test_a_group_that_holds_nearly_all_is_not_taken_off():
    """What is left would be the difference of two large numbers: it is merged anew."""
    rows = ROWS.copy()
    rows[:80] *= 1000
    labels = ["big"] * 80 + [f"small {n}" for n in range(10)]
    texts = {int(at): "" for at in to_draw(KEYS, SHAPE)}
    place = Place(state_of(rows, labels, KEYS, texts, [3] * N, SHAPE), 0)
    assert without(place.moments, place.state.groups["big"].moments(0)) is None
    x = rows[80:, 0, BLOCKS["Q"]]
    expected = summarise_group(x, kernel="reference").variance
    assert place.left("big").pairs["cosine", "QQ"].variance == pytest.approx(expected, abs=1e-13)


def test_layer_0_is_not_judged():
    sample = sample_at(STATE, layers=(0,), layer=0, role="target", kind="first token", deduplicated=False, heads={})
    own = measure(statistic_named("row_mean"), sample, Comparison("Q", "cosine"))
    assert "token and its place alone (1 places)" in own.obstacle(axis="contexts", min_distinct=20)


def test_a_constant_dimension_is_not_judged():
    rows = ROWS.copy()
    rows[:, :, 5] = 7.0
    texts = {int(at): "" for at in to_draw(KEYS, SHAPE)}
    state = state_of(rows, LABELS, KEYS, texts, [3] * N, SHAPE)
    sample = sample_at(state, layers=(6,), layer=6, role="target", kind="first token", deduplicated=False, heads={})
    found = measure(statistic_named("variance"), sample, Comparison("QK", "cosine"))
    assert "1 of 5 dimensions of K are the same in every context (the first is 1)" in found.undefined(axis="dimensions")
    assert measure(statistic_named("variance"), sample, Comparison("QQ", "cosine")).undefined(axis="dimensions") is None


def test_what_needs_rows_says_so():
    sample = sample_at(STATE, layers=(6,), layer=6, role="target", kind="first token", deduplicated=False, heads={})
    statistic = statistic_named("row_variance")
    assert not answers(statistic)
    with pytest.raises(NotCapturedError, match="needs the rows themselves"):
        _ = measure(statistic, sample, Comparison("Q", "cosine")).plug_in
