"""Bench: how many times faster the kernels and the capture are than what people would use instead.

An absolute time says what a machine is; a ratio of two times taken in one run says what the code is. Each contest runs
both sides in turn, round by round, the order alternating, after a check that both give the same answer. Before each
timed call its side runs untimed for a fifth of a second: a processor that was idle has to be woken, and threads of
the other side that wait actively have to fall asleep. The ratio is the median over rounds of theirs / ours.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from qkvcheck.capture import capture
from qkvcheck.claims import Claim, Direction, cells, judge_sample
from qkvcheck.commands.benchmark import peers
from qkvcheck.commands.benchmark.ratios import Ratio
from qkvcheck.contexts import ContextSet, encode_corpus, read_corpus
from qkvcheck.errors import ClaimError
from qkvcheck.groups import PAIR_GROUPS, Comparison
from qkvcheck.models import HookedModel, load_model
from qkvcheck.statistics import Sample, summarise_groups, unit_columns

ROUNDS = 7
_SETTLES = 0.2
"""Seconds that a side runs untimed before each timed call."""
LAYER = 6
BINS = 100


@dataclass(frozen=True)
class Contest:
    """Two ways to the same result.

    Attributes
    ----------
    name : str
        Such as ``histogram-numba-lecture``.
    ours, theirs : str
        What is timed.
    needs : tuple of str
        Python modules without which it can't be held.
    start : callable
        Prepares both sides and returns them; called once.
    agree : callable
        Takes both results; returns how they differ, or None.
    """

    name: str
    ours: str
    theirs: str
    needs: tuple[str, ...]
    start: Callable[[], tuple[Callable[[], Any], Callable[[], Any]]]
    agree: Callable[[Any, Any], str | None]


# What is compared ---------------------------------------------------------------------------------


def activations_like(n: int, width: int, *, rng: np.random.Generator) -> np.ndarray:
    """Return synthetic activations (context, width) float32 whose similarities reach from pole to pole."""
    offset = 2 * rng.standard_normal(width)
    return (rng.standard_normal((n, width)) + offset).astype(np.float32)


def equal_blocks(width: int) -> dict[str, slice]:
    """Return Q, K and V as thirds of a width."""
    third = width // 3
    return {name: slice(i * third, (i + 1) * third) for i, name in enumerate("QKV")}


def same_counts(ours: Sequence[Any], theirs: Sequence[np.ndarray], *, tolerance: float = 1e-4) -> str | None:
    """Tell how histograms differ: peers that count in float32 may put some pairs into the bin beside."""
    for group, own, other in zip(PAIR_GROUPS, ours, theirs, strict=True):
        counts = own.counts
        moved = np.abs(counts - other).sum() / 2
        if counts.sum() != other.sum() or moved > tolerance * counts.sum():
            return f"{group}: {moved:.0f} of {counts.sum()} pairs in another bin"
    return None


def same_numbers(ours: np.ndarray, theirs: np.ndarray, *, tolerance: float = 1e-5) -> str | None:
    """Tell how captured numbers differ."""
    largest = float(np.abs(ours - theirs).max())
    return None if largest <= tolerance else f"largest difference {largest:.1e}"


def _not_compared(_ours: Any, _theirs: Any) -> str | None:
    """Two different computations: their times are compared, not their results."""
    return None


def _histogram(kernel: str, peer: Callable[..., list[np.ndarray]]) -> tuple[Callable[[], Any], Callable[[], Any]]:
    x = activations_like(54, 2304, rng=np.random.default_rng(0))
    blocks, groups = equal_blocks(2304), [(g[0], g[1]) for g in PAIR_GROUPS]
    return partial(summarise_groups, x, blocks, groups, kernel=kernel), partial(peer, x, blocks, groups, bins=BINS)


def _product(library: str) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Put the kernel beside one float32 matrix product of unit columns, d x n times n x d, that nobody counts."""
    ours, _ = _histogram("numba", peers.histograms_of_numpy)
    unit = unit_columns(activations_like(54, 2304, rng=np.random.default_rng(0))).astype(np.float32)
    return ours, peers.product_of_torch(unit) if library == "torch" else peers.product_of_numpy(unit)


def _jackknife() -> tuple[Callable[[], Any], Callable[[], Any]]:
    x = activations_like(54, 2304, rng=np.random.default_rng(0))
    claim = Claim(
        id="bench",
        statement="the similarities have two poles",
        statistic="variance",
        direction=Direction.ABOVE,
        threshold=4 / 9,
        groups=PAIR_GROUPS,
        measures=("cosine", "pearson"),
        primary=(Comparison("QQ", "cosine"),),
    )
    twelve = cells(claim, layers=[LAYER])

    def ours() -> list[str]:
        sample = Sample((x,), equal_blocks(2304))
        return [judge_sample(claim, cell, sample, family=twelve).verdict for cell in twelve]

    square = np.random.default_rng(0).standard_normal((2304, 2304))
    out = np.empty_like(square)
    return ours, partial(np.matmul, square, square.copy(), out=out)


class _FullSize:
    """GPT-2 small with random weights, made when it is first asked for."""

    def __init__(self) -> None:
        self._hooked: HookedModel | None = None

    @property
    def hooked(self) -> HookedModel:
        if self._hooked is None:
            self._hooked = load_model("gpt2#untrained")
        return self._hooked

    def contexts(self, corpus: str) -> ContextSet:
        return encode_corpus(read_corpus(corpus), self.hooked.encoder, target=" her")


def _capture(model: _FullSize, corpus: str, peer: str) -> tuple[Callable[[], Any], Callable[[], Any]]:
    hooked, contexts = model.hooked, model.contexts(corpus)
    theirs: Callable[[], np.ndarray]
    if peer == "padded forward":
        theirs = peers.PaddedForward(hooked, contexts, LAYER)
    elif peer == "nnsight":
        theirs = peers.Nnsight(hooked, contexts, LAYER)
    else:
        from transformers import AutoTokenizer

        from qkvcheck.models import embedded_directory

        # It changes the model it wraps, so it gets one of its own; the same seed, so the same weights.
        tokenizer = AutoTokenizer.from_pretrained(embedded_directory())
        theirs = peers.TransformerLens(load_model("gpt2#untrained"), contexts, LAYER, tokenizer)
    return lambda: capture(hooked, contexts, layers=[LAYER]).at(LAYER), theirs


def contests() -> list[Contest]:
    """Return every contest, in the order in which they are held."""
    size = "six groups, 54 x 2304"
    model = _FullSize()
    found = [
        Contest(f"histogram-{kernel}-{slug}", f"{kernel} kernel, {size}", f"{name}, {size}", needs,
                partial(_histogram, kernel, procedure), same_counts)
        for kernel, slug, name, procedure, needs in (
            ("numba", "lecture", "the lecture's procedure", peers.histograms_of_lecture, ("numba",)),
            ("torch", "lecture", "the lecture's procedure", peers.histograms_of_lecture, ()),
            ("numba", "numpy", "NumPy at its fastest", peers.histograms_of_numpy, ("numba",)),
            ("numba", "sklearn", "scikit-learn + np.histogram", peers.histograms_of_scikit_learn, ("numba", "sklearn")),
            ("numba", "torch", "torch matmul + histc", peers.histograms_of_torch, ("numba",)),
        )
    ]  # fmt: skip
    found += [
        *(
            Contest(f"histogram-numba-product-{library}", f"numba kernel, {size}", f"float32 d x n x d product, {how}",
                    ("numba",), partial(_product, library), _not_compared)
            for library, how in (("torch", "torch"), ("numpy", "NumPy, into memory at hand"))
        ),
        Contest("jackknife-product", "verdicts of 12 cells, 54 x 2304", "one float64 d x d x d product", (),
                _jackknife, _not_compared),
    ]  # fmt: skip
    for corpus, peer in (("replication", "padded forward"), ("balanced", "padded forward"),
                         ("replication", "nnsight"), ("replication", "TransformerLens")):  # fmt: skip
        name = f"capture-{corpus}-{peer.lower().replace(' ', '-')}"
        theirs = peer if peer == "padded forward" else f"{peer}, told to stop at layer {LAYER}"
        found.append(Contest(name, f"capture of layer {LAYER}, GPT-2 small size, {corpus}", theirs, peers.MODULES[peer],
                             partial(_capture, model, corpus, peer), same_numbers))  # fmt: skip
    return found


# How it is measured -------------------------------------------------------------------------------


def missing(contest: Contest) -> str | None:
    """Return which module a contest lacks here, or None."""
    return next((module for module in contest.needs if find_spec(module) is None), None)


def measure(
    contest: Contest,
    *,
    rounds: int = ROUNDS,
    clock: Callable[[], float] = time.perf_counter,
) -> Ratio:
    """Hold one contest.

    Parameters
    ----------
    contest : Contest
        What to compare.
    rounds : int
        Each runs both sides once, the order alternating.
    clock : callable
        Returns seconds.

    Raises
    ------
    ClaimError
        If the two sides give different results: then their times say nothing.
    """
    ours, theirs = contest.start()
    difference = contest.agree(ours(), theirs())
    if difference is not None:
        raise ClaimError(f"{contest.name}: both sides give different results ({difference}); nothing was timed.")
    times: list[tuple[float, float]] = []
    for number in range(rounds):
        taken = {}
        for side, run in ((0, ours), (1, theirs))[:: 1 if number % 2 == 0 else -1]:
            begun = clock()
            while clock() - begun < _SETTLES:
                run()
            start = clock()
            run()
            taken[side] = clock() - start
        times.append((taken[0], taken[1]))
    ratios = [b / a for a, b in times]
    return Ratio(
        name=contest.name,
        ours=contest.ours,
        theirs=contest.theirs,
        our_seconds=statistics.median(a for a, _ in times),
        their_seconds=statistics.median(b for _, b in times),
        ratio=statistics.median(ratios),
        low=min(ratios),
        high=max(ratios),
        rounds=rounds,
    )


def chosen(pattern: str | None) -> list[Contest]:
    """Return the contests whose names hold a text.

    Raises
    ------
    ClaimError
        If none does.
    """
    every = contests()
    found = [contest for contest in every if pattern is None or pattern in contest.name]
    if not found:
        raise ClaimError(f"no contest's name holds {pattern!r}; there are {', '.join(c.name for c in every)}.")
    return found
