"""Drift: how far two captures of the same contexts are from each other, layer by layer and block by block."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qkvcheck.activations import Activations
from qkvcheck.errors import CaptureError

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Drift:
    """How far two captures are apart in one block of one layer.

    Attributes
    ----------
    layer : int
        Zero-based.
    block : str
        Q, K or V.
    least_cosine : float
        The least cosine of a context's two rows.
    largest : float
        The largest absolute difference of two numbers.
    relative : float
        The same divided by the root mean square of the first capture's block.
    """

    layer: int
    block: str
    least_cosine: float
    largest: float
    relative: float


def drifts(one: Activations, other: Activations) -> list[Drift]:
    """Compare two captures of the same contexts in every layer and block that both hold.

    Parameters
    ----------
    one, other : Activations
        (context, layer, width), the same contexts in the same order.

    Raises
    ------
    CaptureError
        If they hold different numbers of contexts, other widths, or no layer in common.
    """
    layers = [layer for layer in one.layers if layer in other.layers]
    if not layers:
        raise CaptureError(
            f"there is no layer in both: {', '.join(map(str, one.layers))} and {', '.join(map(str, other.layers))}."
        )
    found = []
    for layer in layers:
        for name in one.blocks:
            x, y = (np.asarray(a.block(layer, name), dtype=np.float64) for a in (one, other))
            if x.shape != y.shape:
                raise CaptureError(f"layer {layer}, {name}: shapes {x.shape} and {y.shape} differ; nothing to compare.")
            norms = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
            cosines = (x * y).sum(axis=1) / np.where(norms > 0, norms, 1.0)
            largest, size = float(np.abs(x - y).max()), float(np.sqrt((x**2).mean()))
            found.append(
                Drift(layer, name, float(cosines.min()), largest, largest / size if size > 0 else float(largest > 0))
            )
    return found


def first_moved(found: list[Drift], *, tolerance: float = TOLERANCE) -> Drift | None:
    """Return the first place, by layer, where a difference passes the tolerance (relative to the block's size)."""
    return next((drift for drift in found if not drift.relative <= tolerance), None)
