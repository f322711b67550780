"""Profile: one statistic over the layers, with intervals that hold for all of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from qkvcheck.groups import Comparison
from qkvcheck.statistics.jackknife import LEVEL, simultaneous_critical
from qkvcheck.statistics.measurement import measure
from qkvcheck.statistics.registry import Statistic
from qkvcheck.statistics.sample import Sample, grouped_alike, too_few


@dataclass(frozen=True)
class LayerPoint:
    """A statistic at one layer.

    Attributes
    ----------
    layer : int
        Zero-based.
    estimate, low, high : float or None
        With simultaneous bounds; None where nothing is judged.
    n_distinct : int
        Distinct contexts there.
    reason : str or None
        Why nothing is judged.
    """

    layer: int
    estimate: float | None
    low: float | None
    high: float | None
    n_distinct: int
    reason: str | None = None


def profile_layers(
    samples: Sequence[tuple[int, Sample]],
    comparison: Comparison,
    *,
    statistic: Statistic,
    axis: str = "dimensions",
    min_distinct: int = 20,
    level: float = LEVEL,
) -> list[LayerPoint]:
    """Return a statistic at every layer, with simultaneous (max-T) intervals over the layers that are judged.

    Parameters
    ----------
    samples : sequence of (layer, Sample)
        The same contexts at each layer.
    comparison : Comparison
        Where.
    statistic : Statistic
        What is computed.
    axis : {"dimensions", "contexts"}
        What is compared: between dimensions, a layer with a constant one is not judged.
    min_distinct : int
        At layer 0 a vector depends on token and position alone, so that few contexts are distinct; a layer with fewer
        than this is not judged.
    level : float
        At which the intervals hold for all layers.
    """
    points, found = [], {}
    own = [measure(statistic, sample, comparison) for _, sample in samples]
    alike = grouped_alike([measured.rows for measured in own])
    every = {
        layer: measured if rows is measured.rows else replace(measured, rows=rows)
        for (layer, _), measured, rows in zip(samples, own, alike, strict=True)
    }
    names = tuple(sorted({name for measured in every.values() for name in measured.rows.clusters}))
    for layer, measured in every.items():
        rows, reason = measured.rows, measured.undefined(axis=axis)
        if rows.n_distinct < min_distinct:
            reason = too_few(rows, min_distinct)
        points.append(LayerPoint(layer, None, None, None, rows.n_distinct, reason))
        if reason is None:
            found[layer] = measured.replicates_without(names)
    if not found:
        return points
    critical = simultaneous_critical(list(found.values()), scale=statistic.interval_scale, level=level)
    judged = []
    for point in points:
        if point.layer in found:
            estimate = statistic.estimate(found[point.layer], critical=critical, level=level)
            point = replace(point, estimate=estimate.value, low=estimate.low, high=estimate.high)
        judged.append(point)
    return judged
