"""The similarity kernels: the same counts from all of them, and, when asked for, how long each takes beside its peers.

The benchmarks are off in a plain run; ``pytest experiments/test_similarity_kernels.py --benchmark-only`` runs them.
Their times are of one machine; what is gated are ratios (``qkvcheck bench --check``).
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from qkvcheck.capture import Samples
from qkvcheck.commands.benchmark import contests, peers
from qkvcheck.groups import MEASURES, PAIR_GROUPS
from qkvcheck.statistics import summarise_groups

FAST_KERNELS = ("torch", "numba")
PEERS = {
    "lecture": peers.histograms_of_lecture,
    "numpy": peers.histograms_of_numpy,
    "scikit-learn": peers.histograms_of_scikit_learn,
    "torch": peers.histograms_of_torch,
}
SIZES = [(54, 2304), (54, 4800), (54, 12288), (1000, 2304), (1000, 4800)]
LARGEST_FOR_INDEX_MASKS = 5000


def needs(module: str | None) -> None:
    """Skip where a module is not installed, and say which."""
    if module is not None and find_spec(module) is None:
        pytest.skip(f"{module} is not installed: pip install 'qkvcheck[bench]'")


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("kernel", FAST_KERNELS)
def test_kernels_agree_on_the_model(kernel: str, measure: str, samples: Samples) -> None:
    """Every pair of dimensions of the target at layer 6 lies in the same bin as in the float64 reference."""
    if kernel == "numba":
        needs("numba")
    captured = samples.target
    x = captured.at(captured.layers[-1])
    fast, slow = (
        summarise_groups(x, captured.projections, PAIR_GROUPS, measure=measure, kernel=name)
        for name in (kernel, "reference")
    )
    for own, reference in zip(fast, slow, strict=True):
        assert np.array_equal(own.counts, reference.counts)
        assert own.share_above == reference.share_above
        assert own.variance == pytest.approx(reference.variance, abs=3e-7)
        assert own.mean_absolute == pytest.approx(reference.mean_absolute, abs=3e-7)


@pytest.mark.parametrize("peer", PEERS)
def test_peers_count_the_same_pairs(peer: str) -> None:
    """What is timed against us does the same work: at most a few pairs beside an edge differ, by float32 rounding."""
    needs(peers.missing(peer))
    x = contests.activations_like(54, 96, rng=np.random.default_rng(1))
    blocks, groups = contests.equal_blocks(96), [(g[0], g[1]) for g in PAIR_GROUPS]
    ours = summarise_groups(x, blocks, groups, kernel="reference")
    assert contests.same_counts(ours, PEERS[peer](x, blocks, groups, bins=100), tolerance=2e-3) is None


@pytest.mark.benchmark
@pytest.mark.parametrize(("n", "width"), SIZES, ids=lambda value: str(value))
@pytest.mark.parametrize("kernel", FAST_KERNELS)
def test_kernel_speed(kernel: str, n: int, width: int, benchmark: Any) -> None:
    """Six groups in one pass."""
    if kernel == "numba":
        needs("numba")
    benchmark.group = f"six groups, {n} x {width}"
    x = contests.activations_like(n, width, rng=np.random.default_rng(0))
    benchmark.pedantic(
        summarise_groups, (x, contests.equal_blocks(width), PAIR_GROUPS), {"kernel": kernel}, rounds=7, warmup_rounds=1
    )


@pytest.mark.benchmark
@pytest.mark.parametrize(("n", "width"), SIZES, ids=lambda value: str(value))
@pytest.mark.parametrize("peer", PEERS)
def test_peer_speed(peer: str, n: int, width: int, benchmark: Any) -> None:
    """The same histograms by other means."""
    needs(peers.missing(peer))
    if peer == "lecture" and width > LARGEST_FOR_INDEX_MASKS:
        pytest.skip(f"index masks of {width * width // 2:,} pairs take several GB")
    benchmark.group = f"six groups, {n} x {width}"
    x = contests.activations_like(n, width, rng=np.random.default_rng(0))
    groups = [(g[0], g[1]) for g in PAIR_GROUPS]
    benchmark.pedantic(PEERS[peer], (x, contests.equal_blocks(width), groups), {"bins": 100}, rounds=7, warmup_rounds=1)
