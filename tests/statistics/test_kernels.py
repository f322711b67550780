"""Every kernel against the reference, and the reference against plain Python."""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from qkvcheck.errors import ClaimError
from qkvcheck.statistics.kernels import Tally, binning, reference, torch_
from qkvcheck.statistics.kernels.tiles import tiles
from qkvcheck.statistics.similarity import MEASURES, kernel_named, summarise_groups, unit_columns
from qkvcheck.statistics.streaming import moments_of, summarise_moments

ON_GPU = ["torch:cuda"] * torch.cuda.is_available()
FAST = ["torch"] + ["numba"] * bool(find_spec("numba")) + ON_GPU


@pytest.fixture(
    params=["torch", pytest.param("numba", marks=pytest.mark.skipif("numba" not in FAST, reason="no numba")), *ON_GPU]
)
def fast(request) -> str:
    """Each fast kernel in turn."""
    return request.param


def blocks_of(*widths: int) -> dict[str, slice]:
    ends = np.concatenate([[0], np.cumsum(widths)])
    return {chr(65 + i): slice(int(a), int(b)) for i, (a, b) in enumerate(itertools.pairwise(ends))}


def every_group(blocks: dict[str, slice]) -> list[tuple[str, str]]:
    names = list(blocks)
    return [(a, b) for i, a in enumerate(names) for b in names[i:]]


def assert_same(found: list[Tally], wanted: list[Tally], *, sums: float = 3e-7) -> None:
    """Counts equal to the last one; sums to what float64 and float32 hold."""
    assert len(found) == len(wanted)
    for own, want in zip(found, wanted, strict=True):
        assert np.array_equal(own.counts, want.counts)
        assert (own.pairs, own.above, own.low, own.high) == (want.pairs, want.above, want.low, want.high)
        assert own.counts.sum() == own.pairs
        scale = max(1, own.pairs)
        for name in ("total", "total_absolute", "total_square"):
            assert getattr(own, name) / scale == pytest.approx(getattr(want, name) / scale, abs=sums)


def test_reference_by_plain_python(rng):
    """A few columns, pair by pair, with math.fsum: no array code at all."""
    x = rng.normal(size=(5, 6))
    blocks = blocks_of(4, 2)
    within, across = reference.tally(unit_columns(x), blocks, [("A", "A"), ("A", "B")], bins=10)

    def cosine(i: int, j: int) -> float:
        top = math.fsum(x[r, i] * x[r, j] for r in range(5))
        return top / math.sqrt(math.fsum(x[r, i] ** 2 for r in range(5)) * math.fsum(x[r, j] ** 2 for r in range(5)))

    pairs = {
        "within": [(i, j) for i in range(4) for j in range(i + 1, 4)],
        "across": [(i, j) for i in range(4) for j in (4, 5)],
    }
    for tally, c in ((within, [cosine(*p) for p in pairs["within"]]), (across, [cosine(*p) for p in pairs["across"]])):
        assert tally.pairs == len(c)
        assert tally.total == pytest.approx(math.fsum(c), abs=1e-12)
        assert tally.total_absolute == pytest.approx(math.fsum(map(abs, c)), abs=1e-12)
        assert tally.total_square == pytest.approx(math.fsum(v * v for v in c), abs=1e-12)
        want = [0] * 10
        for value in c:
            want[min(9, int((value + 1) * 5))] += 1
        assert tally.counts.tolist() == want
        assert tally.above == tuple(sum(abs(v) > edge for v in c) for edge in (0.5, 0.7, 0.9))
        assert (tally.low, tally.high) == (sum(v < -0.5 for v in c), sum(v > 0.5 for v in c))


# Few distinct small numbers make cosines that lie on an edge, at -1, 0 and 1 exactly, and zero and constant columns.
NUMBERS = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, 2.0, 0.5, 3.0]),
    st.floats(-4, 4, width=32),
    st.floats(-0.0009765625, 0.0009765625, width=32).map(lambda v: 5 + v),
)


@st.composite
def problems(draw):
    """Contexts, one to four blocks of any widths, and a number of bins."""
    n = draw(st.integers(1, 12))
    widths = draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
    x = draw(arrays.arrays(np.float32, (n, sum(widths)), elements=NUMBERS, fill=st.nothing()))
    return x, widths, draw(st.sampled_from([1, 2, 3, 7, 10, 20, 97, 100, 200]))


@pytest.mark.needs_time
@given(problem=problems(), measure=st.sampled_from(MEASURES), threads=st.sampled_from([1, 2, 3]))
@settings(deadline=None, max_examples=200)
@pytest.mark.parametrize("name", FAST)
def test_counts_are_the_references(name, problem, measure, threads):
    x, widths, bins = problem
    blocks, unit = blocks_of(*widths), unit_columns(x, measure=measure)
    groups = every_group(blocks)
    found = kernel_named(name)(unit, blocks, groups, bins=bins, threads=threads)
    assert_same(found, reference.tally(unit, blocks, groups, bins=bins))


@pytest.mark.parametrize("widths", [(1,), (1, 3), (255, 257), (191, 1, 193), (385, 767), (769,)])
def test_widths_that_no_tile_divides(fast, rng, widths):
    x = rng.normal(size=(6, sum(widths))) + rng.normal(size=sum(widths))
    blocks, unit = blocks_of(*widths), unit_columns(x)
    groups = every_group(blocks)
    assert_same(kernel_named(fast)(unit, blocks, groups, bins=100), reference.tally(unit, blocks, groups, bins=100))


@pytest.mark.parametrize("n", [1, 2, 54, 511, 512, 513, 1100])
def test_any_number_of_contexts(fast, rng, n):
    """Rows are added up in pieces; the number of rows that no piece divides is no exception."""
    x = rng.normal(size=(n, 70)) + 0.2 * rng.normal(size=70)
    blocks, unit = blocks_of(40, 30), unit_columns(x)
    groups = every_group(blocks)
    assert_same(kernel_named(fast)(unit, blocks, groups, bins=100), reference.tally(unit, blocks, groups, bins=100))


LANES = """
import sys
from llvmlite import binding
features = {"16": {"avx512f": True, "avx": True}, "8": {"avx": True}, "4": {}}[sys.argv[1]]
real = binding.get_host_cpu_features
binding.get_host_cpu_features = lambda: features
from qkvcheck.statistics.kernels import micro_kernel
binding.get_host_cpu_features = real
assert micro_kernel.LANES == int(sys.argv[1])
import numpy as np
from qkvcheck.statistics.kernels import numba_
from qkvcheck.statistics.similarity import summarise_groups
x = np.random.default_rng(0).normal(size=(20, 400)) + 1
blocks = {"A": slice(0, 250), "B": slice(250, 400)}
for groups in (["AA", "BB", "AB"], ["AA"]):
    fast, slow = (summarise_groups(x, blocks, groups, kernel=kernel) for kernel in ("numba", "reference"))
    assert all(np.array_equal(a.counts, b.counts) and a.pairs == b.pairs for a, b in zip(fast, slow)), groups
    pieces = numba_._split(numba_.tiles(blocks, [tuple(g) for g in groups], rows=192, columns=64), 6)
    assert [k for piece in pieces for k in piece] == list(range(pieces[-1].stop))
print("same")
"""


@pytest.mark.needs_time
@pytest.mark.skipif("numba" not in FAST, reason="no numba")
@pytest.mark.parametrize("lanes", ["4", *(pytest.param(lanes, marks=pytest.mark.long) for lanes in ("8", "16"))])
def test_processors_with_other_vectors(lanes, tmp_path):
    """Tiles are as wide as vectors ask for, and so higher than wide on some machines: no pair may get lost there."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", LANES, lanes]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=300)
    assert (done.stdout.strip(), done.returncode) == ("same", 0), done.stderr


@pytest.mark.needs_time
@pytest.mark.parametrize("widths", [(1, 300), (300, 1), (6, 7)])
def test_many_contexts_of_which_two_hold_nearly_everything(fast, rng, widths):
    """Adding many small numbers to a large sum, one by one, would leave the float32 error's bound far behind."""
    n = 6_002
    x = np.full((n, sum(widths)), 2.0**-12.6)
    first = slice(0, widths[0])
    x[0] = rng.uniform(0.8, 0.9, size=sum(widths))
    x[0, first] = 1.0
    x[1] = np.sqrt(1 - x[0] ** 2)
    blocks = blocks_of(*widths)
    unit = unit_columns(x)
    found = kernel_named(fast)(unit, blocks, [("A", "B")], bins=1000)
    assert_same(found, reference.tally(unit, blocks, [("A", "B")], bins=1000), sums=binning.float32_error(64, 94))


def test_blocks_that_overlap_or_stand_in_any_order(fast, rng):
    unit = unit_columns(rng.normal(size=(9, 400)) + rng.normal(size=400))
    blocks = {"long": slice(0, 300), "begin": slice(0, 10), "end": slice(395, 400), "empty": slice(5, 5)}
    groups = [*every_group(blocks), ("end", "begin"), ("begin", "long")]
    assert_same(kernel_named(fast)(unit, blocks, groups, bins=100), reference.tally(unit, blocks, groups, bins=100))
    assert kernel_named(fast)(unit, blocks, [], bins=100) == []


@pytest.mark.parametrize("bins", [1, 2, 997, 100_000, 1_000_000])
def test_more_bins_than_float32_can_tell_apart(fast, rng, bins):
    """Where a bin is narrower than the error, every pair is looked at twice, those in the outermost bins too."""
    x = rng.normal(size=(40, 30))
    x[:, 1] = x[:, 0] + 1e-4 * rng.normal(size=40)
    x[:, 2] = -x[:, 0] + 1e-3 * rng.normal(size=40)
    x[:, 3] = x[:, 0]
    unit = unit_columns(x)
    assert_same(
        kernel_named(fast)(unit, blocks_of(30), [("A", "A")], bins=bins),
        reference.tally(unit, blocks_of(30), [("A", "A")], bins=bins),
    )


def test_exact_values_at_poles_and_zero(fast):
    """Columns along two axes: every similarity is exactly -1, 0 or 1, or belongs to a column of zeros."""
    x = np.zeros((4, 9))
    for column, (row, sign) in enumerate([(0, 1), (0, -1), (1, 1), (1, 1), (0, 2), (2, -1), (3, 5), (1, -3)]):
        x[row, column] = sign
    (found,) = kernel_named(fast)(unit_columns(x), blocks_of(9), [("A", "A")], bins=100)
    assert (int(found.counts[0]), int(found.counts[50]), int(found.counts[99])) == (4, 30, 2)
    assert found.counts.sum() == 36
    assert found.total_absolute == 6


def test_float32_alone_would_not_do(fast):
    """A cosine of 3/5, which an edge separates from its float32 neighbour: the second look has something to do."""
    unit = unit_columns(np.array([[3.0, 1.0], [4.0, 0.0]]))
    edge = np.linspace(-1, 1, 101)[80]
    cosine = unit[:, 0] @ unit[:, 1]
    assert cosine < edge < np.float32(cosine)
    (found,) = kernel_named(fast)(unit, blocks_of(2), [("A", "A")], bins=100)
    assert np.flatnonzero(found.counts).tolist() == [79]


def test_what_another_device_sums_lies_in_the_same_bins(rng):
    """Cosines of one half, an edge, to within rounding: the order of the sum decides on which side they fall."""
    n, pairs = 54, 3000
    first = unit_columns(rng.normal(size=(n, pairs)))
    across = rng.normal(size=(n, pairs))
    across = unit_columns(across - first * (first * across).sum(axis=0))
    unit = np.hstack([first, first / 2 + math.sqrt(0.75) * across])
    i, j = torch.arange(pairs), torch.arange(pairs, 2 * pairs)
    wanted = reference.products(unit[:, i.numpy()], unit[:, j.numpy()])
    other = (torch.from_numpy(unit)[:, i] * torch.from_numpy(unit)[:, j]).sum(dim=0).numpy()
    sides = binning.classify(other, bins=4).counts
    assert (sides != binning.classify(wanted, bins=4).counts).any()  # or there would be nothing to see
    found = torch_.products_on(torch.from_numpy(unit), unit, i, j, fine=binning.fine_bins(4))
    assert np.array_equal(found >= 0.5, wanted >= 0.5)
    far = rng.permutation(2 * pairs)[:pairs]
    found = torch_.products_on(torch.from_numpy(unit), unit, i, torch.from_numpy(far), fine=20)
    assert np.abs(found - reference.products(unit[:, i.numpy()], unit[:, far])).max() < 1e-15


def test_float32_stays_within_its_bound(rng):
    """The bound that decides who gets the second look holds, with room to spare."""
    for n in (3, 54, 512):
        unit = unit_columns(rng.normal(size=(n, 300)) + rng.normal(size=300))
        narrow = unit.astype(np.float32)
        error = np.abs((narrow.T @ narrow).astype(np.float64) - unit.T @ unit).max()
        assert 0 < error < binning.float32_error(n) - 3 * 2**-24


def test_threads_change_nothing(fast, rng):
    x = rng.normal(size=(54, 900)) + rng.normal(size=900)
    blocks = blocks_of(300, 300, 300)
    one, two = (summarise_groups(x, blocks, every_group(blocks), kernel=fast, threads=t) for t in (1, 2))
    for first, second in zip(one, two, strict=True):
        assert np.array_equal(first.counts, second.counts)
        assert first.mean_square == pytest.approx(second.mean_square, abs=1e-9)
        assert first.mean_absolute == pytest.approx(second.mean_absolute, abs=1e-9)


@pytest.mark.skipif("numba" not in FAST, reason="no numba")
def test_numba_sums_do_not_depend_on_threads(rng):
    x = rng.normal(size=(54, 900)) + rng.normal(size=900)
    blocks = blocks_of(300, 300, 300)
    one, two, three = (summarise_groups(x, blocks, every_group(blocks), kernel="numba", threads=t) for t in (1, 2, 3))
    for name in ("mean", "mean_absolute", "mean_square", "variance"):
        assert len({tuple(getattr(s, name) for s in summaries) for summaries in (one, two, three)}) == 1


def test_torch_is_left_as_it_was(rng):
    before = torch.get_num_threads(), torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        torch_.tally(unit_columns(rng.normal(size=(4, 5))), blocks_of(5), [("A", "A")], bins=10, threads=1)
        assert (torch.get_num_threads(), torch.get_float32_matmul_precision()) == (before[0], "medium")
    finally:
        torch.set_float32_matmul_precision(before[1])


@pytest.mark.needs_time
@pytest.mark.skipif(not hasattr(torch.backends.cuda.matmul, "fp32_precision"), reason="one setting for all backends")
def test_a_precision_set_for_one_backend_alone():
    """Such a setting makes torch refuse to tell the common one."""
    code = (
        "import numpy as np, torch; torch.backends.cuda.matmul.fp32_precision = 'tf32'\n"
        "from qkvcheck.statistics.similarity import summarise_groups\n"
        "print(summarise_groups(np.eye(3), {'A': slice(0, 3)}, ['AA'], kernel='torch')[0].counts[50])\n"
        "print(torch.backends.cuda.matmul.fp32_precision)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.returncode) == (["3", "tf32"], 0), done.stderr


@given(widths=st.lists(st.integers(1, 40), min_size=1, max_size=3), rows=st.integers(1, 9), columns=st.integers(1, 15))
@settings(deadline=None)
def test_tiles_hold_every_pair_once(widths, rows, columns):
    blocks = blocks_of(*widths)
    groups = every_group(blocks)
    seen = [np.zeros((sum(widths), sum(widths)), dtype=int) for _ in groups]
    for group, i, i_stop, j, j_stop, triangle in tiles(blocks, groups, rows=rows, columns=columns):
        part = np.ones((i_stop - i, j_stop - j), dtype=int)
        seen[group][i:i_stop, j:j_stop] += np.triu(part, k=1 + i - j) if triangle else part
    for (first, second), count in zip(groups, seen, strict=True):
        want = np.zeros_like(count)
        want[blocks[first], blocks[second]] = 1
        assert np.array_equal(count, np.triu(want, k=1) if first == second else want)


def test_fold_is_classify_away_from_edges(rng):
    values = rng.uniform(-1, 1, size=5000)
    for bins in (1, 3, 20, 100):
        fine = np.histogram(values, bins=binning.fine_bins(bins), range=(-1, 1))[0]
        own, want = binning.fold(fine, bins=bins), binning.classify(values, bins=bins)
        assert np.array_equal(own.counts, want.counts)
        assert np.array_equal(own.above, want.above)
        assert (own.low, own.high) == (want.low, want.high)


def test_choice(monkeypatch):
    monkeypatch.delenv("QKV_KERNEL", raising=False)
    assert kernel_named("auto", pairs=10).__module__.endswith("torch_")
    assert kernel_named("auto", pairs=10**7).__module__.endswith("numba_" if "numba" in FAST else "torch_")
    monkeypatch.setenv("QKV_KERNEL", "reference")
    assert kernel_named("auto", pairs=10**7).__module__.endswith("reference")
    assert kernel_named("torch:cpu").keywords == {"device": "cpu"}
    for unusable in ("torch:nowhere", "torch:cuda:99"):
        with pytest.raises(ClaimError, match=f"kernel '{unusable}' can't run here: .*Check QKV_KERNEL"):
            kernel_named(unusable)
    for wrong in ("numpy", "numba:cpu", "auto:cpu"):
        with pytest.raises(ClaimError, match="is not known; allowed: auto, reference, torch, numba or torch:DEVICE"):
            kernel_named(wrong)


def test_without_numba(monkeypatch):
    monkeypatch.delenv("QKV_KERNEL", raising=False)
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.setattr("qkvcheck.statistics.similarity.find_spec", lambda _name: None)
    assert kernel_named("auto", pairs=10**7).__module__.endswith("torch_")
    with pytest.raises(ClaimError, match=r"pip install 'qkvcheck\[fast\]'"):
        kernel_named("numba")


@pytest.mark.needs_time
@pytest.mark.skipif("numba" not in FAST, reason="no numba")
def test_numba_without_a_folder_for_compiled_code():
    """A read-only installation and no home: compiled for this process alone."""
    code = (
        "import numba.core.caching as caching; caching.CacheImpl._locator_classes = []\n"
        "import numpy as np; from qkvcheck.statistics.similarity import summarise_groups\n"
        "x = np.eye(3)\n"
        "print(summarise_groups(x, {'A': slice(0, 3)}, ['AA'], kernel='numba')[0].counts[50])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("3", 0), done.stderr


def test_wrong_groups_and_bins_are_told(rng):
    x = rng.normal(size=(3, 4))
    with pytest.raises(ClaimError, match=r"group 'QX' does not name two projections; allowed are: QQ"):
        summarise_groups(x, {"Q": slice(0, 4)}, ["QX"])
    for nothing in (x[:0], x[0], np.zeros((3, 4, 1))):
        with pytest.raises(ClaimError, match="has no similarities; give"):
            summarise_groups(nothing, {"Q": slice(0, 4)}, ["QQ"])
    for bins in (0, 10.0):
        with pytest.raises(ClaimError, match="bins were asked for; a whole number"):
            summarise_groups(x, {"Q": slice(0, 4)}, ["QQ"], bins=bins)
    with pytest.raises(ClaimError, match="0 threads were asked for"):
        summarise_groups(x, {"Q": slice(0, 4)}, ["QQ"], threads=0)


@pytest.mark.parametrize(
    "place", [slice(0, 200), slice(2, 5), slice(0, -1), slice(None, 3), slice(0, 4, 2), slice(3, 1), slice(0.0, 2.0)]
)
def test_a_block_outside_the_array_never_reaches_a_kernel(place, rng):
    """Compiled code reads where it is told."""
    for kernel in ("reference", *FAST):
        with pytest.raises(ClaimError, match="it must be a slice of two whole numbers within the 4 dimensions"):
            summarise_groups(rng.normal(size=(3, 4)), {"Q": place}, ["QQ"], kernel=kernel)
    with pytest.raises(ClaimError, match="must be a slice"):
        summarise_moments(moments_of(rng.normal(size=(3, 4))), {"Q": place}, ["QQ"])


def test_numba_without_its_compiler_is_no_kernel(monkeypatch):
    config = pytest.importorskip("numba").config
    assert kernel_named("auto", pairs=10**9).__module__.endswith("numba_")
    monkeypatch.setattr(config, "DISABLE_JIT", 1)
    assert kernel_named("auto", pairs=10**9).__module__.endswith("torch_")
    with pytest.raises(ClaimError, match="kernel 'numba' needs numba's compiler, which NUMBA_DISABLE_JIT switches off"):
        kernel_named("numba", pairs=10**9)
