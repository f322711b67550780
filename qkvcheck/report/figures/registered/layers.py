"""Figures over layers: V and P of the trained network with a band, beside those of untrained ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from qkvcheck.claims import Evidence, ProfilePoint
from qkvcheck.groups import PAIR_GROUPS, group_text
from qkvcheck.report.figures.drawing import FILL, TARGET, UNTRAINED, panels, svg_of
from qkvcheck.report.figures.picture import Figure, carrying
from qkvcheck.report.figures.registry import FigureInput, register_figure


@register_figure("profiles", order=1, over_layers=True, wide=True)
def profiles(given: FigureInput) -> Iterator[Figure]:
    """Yield V and P over the layers, with bands that hold for all at once, and the untrained networks'."""
    where = given.where
    found = carrying(given.verdicts, "profile", "cosine")
    groups = [group for group in PAIR_GROUPS if group in found and _judged(found[group].evidence)]
    if not groups:
        return
    rows = []
    with panels(len(groups), width=9, height=2.7) as (canvas, axes):
        for ax, group in zip(axes, groups, strict=True):
            points = _judged(found[group].evidence)
            at = [point.layer for point in points]
            ax.fill_between(
                at, [p.low or 0.0 for p in points], [p.high or 0.0 for p in points], color=FILL, linewidth=0
            )
            ax.plot(at, [p.estimate or 0.0 for p in points], color=TARGET, linewidth=1.5, label="V, trained")
            ax.plot(
                at,
                [p.mean_square or 0.0 for p in points],
                color=TARGET,
                linewidth=1,
                linestyle="--",
                label="P, trained",
            )
            seeds = [p.untrained for p in points if p.untrained is not None]
            if seeds:
                places = [p.layer for p in points if p.untrained is not None]
                ax.plot(places, [s.mean for s in seeds], color=UNTRAINED, linewidth=1.2, label="V, untrained")
                ax.plot(places, [s.low for s in seeds], color=UNTRAINED, linewidth=0.6)
                ax.plot(places, [s.high for s in seeds], color=UNTRAINED, linewidth=0.6)
            ax.set_title(group_text(group))
            ax.set_ylim(0, 1)
            rows += [(group, p.layer, *map(_rounded, _numbers(p))) for p in points]
        canvas.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=5, fontsize=8)
        canvas.supxlabel("layer (zero-based)")
        ranges = ", ".join(f"{group_text(g)} {_range(rows, g)}" for g in groups)
        alt = f"Variance V of the cosines over the layers, trained with bands against untrained. V runs: {ranges}."
        svg = svg_of(canvas, name="profile", alt=alt)
    yield Figure(
        "profile",
        "Layer by layer",
        f"{where}. V is the variance of the cosines between dimensions, P their mean square. The band is a 95 % "
        "interval that holds for all layers at once; thin lines are the least and the largest untrained networks.",
        alt,
        svg,
        ("group", "layer", "V", "low", "high", "P", "V untrained"),
        tuple(rows),
    )


def _judged(evidence: Evidence) -> list[ProfilePoint]:
    """Return the layers at which there is a number."""
    return [point for point in evidence.profile or () if point.estimate is not None]


def _numbers(point: ProfilePoint) -> list[float | None]:
    untrained = None if point.untrained is None else point.untrained.mean
    return [point.estimate, point.low, point.high, point.mean_square, untrained]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _range(rows: Sequence[tuple[Any, ...]], group: str) -> str:
    values = [row[2] for row in rows if row[0] == group]
    return f"{min(values):.2f} to {max(values):.2f}"
