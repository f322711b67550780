"""The torch kernel (CPU and CUDA): tiles of products from the library's own matrix product, then its histogram.

It needs nothing that qkvcheck does not need anyway. Every step of the counting goes over a tile once more, which is
what the numba kernel saves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from qkvcheck.statistics.kernels import PairGroup, Tally, make_tally
from qkvcheck.statistics.kernels.binning import UNIT_ROUNDOFF, Shares, classify, fine_bins, float32_error, fold
from qkvcheck.statistics.kernels.reference import products
from qkvcheck.statistics.kernels.tiles import tiles

if TYPE_CHECKING:
    import torch

HEIGHT, WIDTH, DEPTH = 384, 768, 128
ON_DEVICE = 4096
"""Height and width of a tile on another device than the CPU, where each step costs a launch whatever its size."""
_AT_ONCE = 8192
_NUMBERS_ON_DEVICE = 2**25
_FEW_TILES = 4
"""Tiles up to which one thread does: with more, each step waits for all, and for long where processors are shared."""


def tally(
    unit: np.ndarray,
    blocks: Mapping[str, slice],
    groups: Sequence[PairGroup],
    *,
    bins: int,
    threads: int | None = None,
    device: str = "cpu",
) -> list[Tally]:
    """Count and sum over the pairs of each group; see `Kernel`. `device` is a torch device."""
    import torch

    height, width = (HEIGHT, WIDTH) if torch.device(device).type == "cpu" else (ON_DEVICE, ON_DEVICE)
    work = tiles(blocks, groups, rows=height, columns=width)
    if threads is None and device == "cpu" and len(work) <= _FEW_TILES:
        threads = 1
    fine = fine_bins(bins)
    # One more u than for a fused multiplication: torch promises none.
    nearness = (float32_error(min(len(unit), DEPTH), -(-len(unit) // DEPTH)) + UNIT_ROUNDOFF) * fine / 2
    found = torch.zeros((len(groups), fine + 1), dtype=torch.int64, device=device)
    sums = torch.zeros((len(groups), 3), dtype=torch.float64, device=device)
    with _full_precision(threads), torch.inference_mode():
        double = torch.from_numpy(unit).to(device=device, dtype=torch.float64)
        columns = double.float()
        exact = [_Exact(unit, bins, None if double.device.type == "cpu" else double) for _ in groups]
        buffer = torch.empty(height * width, dtype=torch.float32, device=device)
        for group, i, i_stop, j, j_stop, triangle in work.tolist():
            values = buffer[: (i_stop - i) * (j_stop - j)].view(i_stop - i, j_stop - j)
            for start in range(0, len(unit), DEPTH):
                rows = columns[start : start + DEPTH]
                # Apart from the sum so far: a product that adds to it may do so term by term, with as many roundings.
                part = torch.mm(rows[:, i:i_stop].T, rows[:, j:j_stop], out=values if start == 0 else None)
                if start > 0:
                    values += part
            excluded = torch.ones_like(values, dtype=torch.bool).tril_(i - j) if triangle else None
            if excluded is not None:
                values.masked_fill_(excluded, 0.0)
            for place, part in enumerate((values, values.abs(), values.square())):
                sums[group, place] += part.sum(dim=1).sum(dtype=torch.float64)
            if excluded is not None:
                values.masked_fill_(excluded, -1.0 + 0.5 / fine)  # a quarter into the first bin, not near its edges
            places, near = _place(values, fine, nearness)
            if excluded is not None:
                places.masked_fill_(excluded, fine)
                near = near[~excluded.view(-1)[near]]
            places.view(-1).index_fill_(0, near, fine)
            found[group] += torch.bincount(places.view(-1), minlength=fine + 1)
            exact[group].add(i + near.div(j_stop - j, rounding_mode="floor"), j + near.remainder(j_stop - j))
    counts = found[:, :fine].cpu().numpy()
    return [make_tally(fold(counts[g], bins=bins) + exact[g].finish(), sums[g].tolist()) for g in range(len(groups))]


def obstacle_to(device: str) -> str | None:
    """Return why a torch device can't be used here, or None."""
    import torch

    try:
        torch.zeros(1, dtype=torch.float64, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        return str(error).splitlines()[0].rstrip(".")[:200]
    return None


def _place(values: torch.Tensor, fine: int, nearness: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return each value's bin, and the numbers of those that lie near an edge; `values` is used up."""
    import torch

    t = values.mul_(fine / 2).add_(fine / 2).clamp_(0.0, fine)
    near = torch.nonzero(((t - t.round()).abs_() <= nearness).view(-1)).squeeze(1)
    # The outermost edges are no edges: what lies beyond them is clipped to them.
    edge = t.view(-1)[near]
    return t.to(torch.int32).clamp_(max=fine - 1), near[(edge > 1 - nearness) & (edge < fine - 1 + nearness)]


class _Exact:
    """Pairs that are computed in float64, a bounded number at a time."""

    def __init__(self, unit: np.ndarray, bins: int, columns: torch.Tensor | None) -> None:
        self._unit, self._bins = unit, bins
        self._columns = columns
        self._at_once = _AT_ONCE if columns is None else max(_AT_ONCE, _NUMBERS_ON_DEVICE // len(unit))
        self._waiting: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._shares = classify(np.empty(0), bins=bins)

    def add(self, first: torch.Tensor, second: torch.Tensor) -> None:
        """Take pairs of columns."""
        self._waiting.append((first, second))
        if sum(len(i) for i, _ in self._waiting) >= self._at_once:
            self.finish()

    def finish(self) -> Shares:
        """Compute what waits; return the counts of all pairs so far."""
        import torch

        if self._waiting:
            first, second = (torch.cat(part) for part in zip(*self._waiting, strict=True))
            self._waiting.clear()
            for start in range(0, len(first), self._at_once):
                part = slice(start, start + self._at_once)
                self._shares += classify(self._products(first[part], second[part]), bins=self._bins)
        return self._shares

    def _products(self, first: torch.Tensor, second: torch.Tensor) -> np.ndarray:
        if self._columns is None:
            return products(self._unit[:, first.numpy()], self._unit[:, second.numpy()])
        return products_on(self._columns, self._unit, first, second, fine=fine_bins(self._bins))


def products_on(
    columns: torch.Tensor, unit: np.ndarray, first: torch.Tensor, second: torch.Tensor, *, fine: int
) -> np.ndarray:
    """Return dot products that lie in the same bins as those of the reference, computed where `columns` are.

    In float64 two sums of the same n products, in whatever order, differ by at most 2 n 2^-53. What is nearer to an
    edge than that (a similarity that lies on one, as a rule) is summed as the reference sums it.
    """
    import torch

    values = (columns[:, first] * columns[:, second]).sum(dim=0)
    t = (values + 1.0) * (fine / 2)
    near = torch.nonzero((t - t.round()).abs() <= (2 * len(unit) + 32) * fine * 2.0**-53).squeeze(1)
    found: np.ndarray = values.cpu().numpy()
    found[near.cpu().numpy()] = products(unit[:, first[near].cpu().numpy()], unit[:, second[near].cpu().numpy()])
    return found


@contextmanager
def _full_precision(threads: int | None) -> Iterator[None]:
    """Multiply in true float32, and with as many threads as asked for; leave torch as it was found."""
    import torch

    usual = torch.get_num_threads()
    restore = _set_precision()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        restore()
        torch.set_num_threads(usual)


def _set_precision() -> Callable[[], None]:
    """Ask for true float32 in products; return what puts the former setting back."""
    import torch

    try:
        former = torch.get_float32_matmul_precision()
    except RuntimeError:  # set for each backend on its own, which releases from 2.9 on allow
        places: tuple[Any, ...] = (torch.backends.cuda.matmul, getattr(torch.backends.mkldnn, "matmul"))  # noqa: B009
        before = [place.fp32_precision for place in places]

        def put_back() -> None:
            for place, precision in zip(places, before, strict=True):
                place.fp32_precision = precision

        for place in places:
            place.fp32_precision = "ieee"
        return put_back
    torch.set_float32_matmul_precision("highest")
    return lambda: torch.set_float32_matmul_precision(former)
