"""Figure of curves: claims about contexts from layer to layer, such as how alike a target's vectors are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qkvcheck.claims import UNTRAINED, Kind, ProfilePoint, Role, Verdict
from qkvcheck.groups import group_order, group_text
from qkvcheck.report.figures.drawing import CHANCE, FILL, TARGET, panels, short, svg_of
from qkvcheck.report.figures.drawing import UNTRAINED as UNTRAINED_COLOUR
from qkvcheck.report.figures.picture import Figure
from qkvcheck.report.figures.registry import FigureInput, register_figure

MOST = 9
"""Panels of one figure."""
FEWEST = 3
"""Layers that make a curve."""


@dataclass(frozen=True)
class _Point:
    layer: int
    estimate: float
    low: float
    high: float
    untrained: float | None


@register_figure("curves", order=2, over_layers=True, wide=True)
def curves(given: FigureInput) -> Iterator[Figure]:
    """Yield the numbers of claims about contexts over the layers at which a run has them, three or more."""
    every = _curves(given.verdicts)
    found = {name: points for name, (_, points) in every.items() if len(points) >= FEWEST}
    shown = dict(list(found.items())[:MOST])
    if not shown:
        return
    with panels(len(shown), width=9, height=2.6, share=False) as (canvas, axes):
        for ax, (name, points) in zip(axes, shown.items(), strict=True):
            _draw(ax, points, every[name][0].threshold)
            ax.set_title(short(name))
        canvas.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4, fontsize=8)
        canvas.supxlabel("layer (zero-based)")
        told = "; ".join(f"{n} {min(p.estimate for p in of):.2f} to {max(p.estimate for p in of):.2f}"
                         for n, of in shown.items())  # fmt: skip
        alt = f"Numbers of claims about contexts over the layers, each with its interval. They run: {told}."
        svg = svg_of(canvas, name="curves", alt=alt)
    yield Figure(
        "curves",
        "Contexts, layer by layer",
        f"{given.where}. The band is a 95 % interval: of a claim about every layer it holds for all layers at once, of "
        "any other for each layer by itself. The dotted line is what the claim asks for."
        + (f" {len(found) - MOST} more are in the table of all cells." if len(found) > MOST else ""),
        alt,
        svg,
        ("cell", "layer", "estimate", "low", "high", "untrained"),
        tuple(row for name, of in shown.items() for row in _rows(name, of)),
    )


def _curves(verdicts: Sequence[Verdict]) -> Mapping[str, tuple[Verdict, list[_Point]]]:
    """Return the points of every claim, group and measure that are compared between contexts, by their name."""
    found: dict[str, tuple[Verdict, list[_Point]]] = {}
    for verdict in sorted(verdicts, key=lambda v: (v.order or 0, v.claim, group_order(v.group), v.layer)):
        if verdict.axis != "contexts" or verdict.head is not None:
            continue
        points: list[_Point] = []
        if verdict.kind == Kind.EVERY_LAYER:
            points = [made for one in verdict.evidence.profile or () if (made := _of_profile(one)) is not None]
        elif verdict.kind == Kind.INTERVAL and verdict.role in (Role.DECIDES, Role.OTHER_LAYER):
            points = _of_verdict(verdict)
        name = f"{verdict.claim}, {group_text(verdict.group)} {verdict.measure}"
        known = {one.layer for one in found.get(name, (verdict, []))[1]}
        points = [one for one in points if one.layer not in known]  # a profile stands in the cells of every layer
        if points:
            found.setdefault(name, (verdict, []))[1].extend(points)
    return found


def _of_profile(point: ProfilePoint) -> _Point | None:
    if point.estimate is None or point.low is None or point.high is None:
        return None
    untrained = None if point.untrained is None else point.untrained.mean
    return _Point(point.layer, point.estimate, point.low, point.high, untrained)


def _of_verdict(verdict: Verdict) -> list[_Point]:
    if verdict.estimate is None or verdict.low is None or verdict.high is None:
        return []
    control = verdict.control(UNTRAINED)
    untrained = None if control is None else control.estimate
    return [_Point(verdict.layer, verdict.estimate, verdict.low, verdict.high, untrained)]


def _draw(ax: Any, points: Sequence[_Point], threshold: float | None) -> None:
    at = [point.layer for point in points]
    ax.fill_between(at, [p.low for p in points], [p.high for p in points], color=FILL, linewidth=0)
    ax.plot(at, [p.estimate for p in points], color=TARGET, linewidth=1.5, marker=".", label="this model")
    beside = [(p.layer, p.untrained) for p in points if p.untrained is not None]
    if beside:
        places, numbers = zip(*beside, strict=True)
        ax.plot(places, numbers, color=UNTRAINED_COLOUR, linewidth=1.2, label="untrained")
    if threshold is not None:
        ax.axhline(threshold, color=CHANCE, linewidth=1, linestyle=":", label="what is asked")


def _rows(name: str, points: Sequence[_Point]) -> Iterator[tuple[Any, ...]]:
    for p in points:
        numbers = (p.estimate, p.low, p.high, p.untrained)
        yield (name, p.layer, *(None if n is None else round(n, 6) for n in numbers))
