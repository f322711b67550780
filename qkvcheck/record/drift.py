"""Drift: how far two captures of the same contexts are from each other, layer by layer and block by block."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from qkvcheck.capture import Activations
from qkvcheck.errors import CaptureError

TOLERANCE = 1e-4
COMPARED = ("fingerprint", "corpus_sha256", "tokens_sha256", "target", "dtype", "device", "layout", "python")
"""What two captures may differ in besides the versions of their libraries."""


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
    largest_ulps, median_ulps : float
        Units in the last place of float32 between two numbers; infinite where only one of them is finite.
    """

    layer: int
    block: str
    least_cosine: float
    largest: float
    relative: float
    largest_ulps: float = 0.0
    median_ulps: float = 0.0

    def to_dict(self) -> dict[str, object]:
        """Return plain data for JSON, which knows no infinite numbers: null stands for them."""
        return {
            name: value if not isinstance(value, float) or np.isfinite(value) else None
            for name, value in self.__dict__.items()
        }


def ulp_distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return how many float32 numbers lie between two, counting the second.

    The bits of a float32, read as a whole number, grow with its size; with the sign turned into that of the whole
    number neighbours differ by one, over zero as well (Goldberg 1991, ACM Computing Surveys 23:5, on units in the last
    place).

    Parameters
    ----------
    one, other : ndarray
        Of one shape; wider formats are rounded to float32 first.

    Returns
    -------
    ndarray of float64
        0 for equal numbers, 0.0 and -0.0 included; infinite where one is not finite and the other is not the same.
    """
    first, second = (np.ascontiguousarray(array, dtype=np.float32) for array in (one, other))
    distance: np.ndarray = np.abs(_ordered(first) - _ordered(second)).astype(np.float64)
    strange = ~(np.isfinite(first) & np.isfinite(second))
    return np.where(strange, np.where(first == second, 0.0, np.inf), distance)


def _ordered(values: np.ndarray) -> np.ndarray:
    bits = values.view(np.int32).astype(np.int64)
    ordered: np.ndarray = np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)
    return ordered


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
    return [
        _drift(one.projection(layer, name), other.projection(layer, name), layer=layer, name=name)
        for layer in layers
        for name in one.projections
        if name in other.projections
    ]


def _drift(one: np.ndarray, other: np.ndarray, *, layer: int, name: str) -> Drift:
    x, y = (np.asarray(values, dtype=np.float64) for values in (one, other))
    if x.shape != y.shape:
        raise CaptureError(f"layer {layer}, {name}: shapes {x.shape} and {y.shape} differ; nothing to compare.")
    norms = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    cosines = (x * y).sum(axis=1) / np.where(norms > 0, norms, 1.0)
    largest, size = float(np.abs(x - y).max()), float(np.sqrt((x**2).mean()))
    ulps = ulp_distances(one, other)
    return Drift(
        layer,
        name,
        float(cosines.min()),
        largest,
        largest / size if size > 0 else float(largest > 0),
        float(ulps.max()),
        float(np.median(ulps)),
    )


def first_moved(found: list[Drift], *, tolerance: float = TOLERANCE) -> Drift | None:
    """Return the first place, by layer, where a difference passes the tolerance (relative to the block's size)."""
    return next((drift for drift in found if not drift.relative <= tolerance), None)


def drift_lines(found: list[Drift]) -> list[str]:
    """Return the table of two captures."""
    lines = [
        f"{'layer':>5} {'block':>5} {'least cosine':>13} {'largest':>10} {'relative':>10} {'largest ulps':>13} "
        f"{'median ulps':>12}"
    ]
    lines += [
        f"{drift.layer:5d} {drift.block:>5} {drift.least_cosine:13.9f} {drift.largest:10.2e} {drift.relative:10.2e} "
        f"{drift.largest_ulps:13.0f} {drift.median_ulps:12.1f}"
        for drift in found
    ]
    return lines


def verdict_line(found: list[Drift], *, tolerance: float) -> str:
    """Return what the table comes to: the same to the last bit, the same within the tolerance, or different."""
    moved = first_moved(found, tolerance=tolerance)
    if moved is not None:
        return (
            f"DIFFERENT: first in {moved.block} of layer {moved.layer}, by {moved.relative:.2g} of the size of the "
            f"numbers (tolerance {tolerance:g})."
        )
    first = next((drift for drift in found if drift.largest > 0), None)
    if first is None:
        return "The same to the last bit."
    return (
        f"The same within {tolerance:g} of the size of the numbers; the first bits that differ are in {first.block} of "
        f"layer {first.layer}."
    )


def provenance_lines(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """Return what two recorded captures differ in, as far as their files tell.

    Parameters
    ----------
    one, other : mapping of str to str
        Their provenance.
    """
    lines = []
    for name in COMPARED:
        if name in one and name in other and one[name] != other[name]:
            lines.append(f"{name}: {one[name]} | {other[name]}")
            if name == "fingerprint":
                parts = f"{one[name][:12]} | {other[name][:12]}"
                lines[-1] = f"{name}: {parts} - other weights: two models are compared, not two ways to run one"
    versions = [json.loads(provenance.get("versions", "{}")) for provenance in (one, other)]
    for name in sorted({*versions[0], *versions[1]}):
        then, now = (found.get(name, "none") for found in versions)
        if then != now:
            lines.append(f"{name}: {then} | {now}")
    return lines
