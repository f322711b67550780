"""Figure of heads: a claim's number in each head of a layer, with its interval, beside what it asks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from qkvcheck.claims import UNTRAINED, Kind, Verdict
from qkvcheck.groups import group_text
from qkvcheck.report.figures.drawing import CHANCE, TARGET, panels, short, svg_of
from qkvcheck.report.figures.drawing import UNTRAINED as UNTRAINED_COLOUR
from qkvcheck.report.figures.picture import Figure
from qkvcheck.report.figures.registry import FigureInput, register_figure

MOST = 9
"""Panels of one figure."""


@register_figure("heads", order=0, wide=True)
def heads(given: FigureInput) -> Iterator[Figure]:
    """Yield the estimates head by head, of every cell that was judged in several heads."""
    layer = given.layer
    found: dict[str, list[Verdict]] = {}
    for verdict in given.verdicts:
        over_layers = verdict.kind == Kind.EVERY_LAYER
        if verdict.head is not None and verdict.estimate is not None and not over_layers:
            found.setdefault(f"{verdict.claim}, {group_text(verdict.group)} {verdict.measure}", []).append(verdict)
    kept = {name: sorted(of, key=lambda v: v.head or 0) for name, of in found.items() if len(of) > 1}
    shown = dict(list(kept.items())[:MOST])
    if not shown:
        return
    with panels(len(shown), width=9, height=2.6, share=False) as (canvas, axes):
        for ax, (name, verdicts) in zip(axes, shown.items(), strict=True):
            _draw(ax, verdicts)
            ax.set_title(short(name))
        canvas.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, fontsize=8)
        canvas.supxlabel("head (zero-based)")
        told = "; ".join(
            f"{name} {min(v.estimate or 0.0 for v in of):.2f} to {max(v.estimate or 0.0 for v in of):.2f}"
            for name, of in shown.items()
        )
        alt = f"Estimates head by head at layer {layer}, each with its interval. From the least to the largest: {told}."
        svg = svg_of(canvas, name=f"heads-{layer}", alt=alt)
    yield Figure(
        f"heads-{layer}",
        f"Head by head, layer {layer}",
        f"{given.where}, layer {layer} (zero-based). A point is the number of one head; its interval holds for all "
        "heads of the panel that the claim speaks of at once. The dotted line is what the claim asks for."
        + (f" {len(kept) - MOST} more are in the table of all cells." if len(kept) > MOST else ""),
        alt,
        svg,
        ("cell", "head", "estimate", "low", "high", "untrained", "verdict"),
        tuple(row for name, of in shown.items() for row in _rows(name, of)),
    )


def _draw(ax: Any, verdicts: Sequence[Verdict]) -> None:
    at, values = [v.head for v in verdicts], [v.estimate or 0.0 for v in verdicts]
    low = [value - (value if v.low is None else v.low) for v, value in zip(verdicts, values, strict=True)]
    high = [(value if v.high is None else v.high) - value for v, value in zip(verdicts, values, strict=True)]
    below, above = ([max(size, 0.0) for size in sizes] for sizes in (low, high))
    ax.errorbar(at, values, yerr=[below, above], fmt="o", color=TARGET, markersize=4, linewidth=1.2, label="this model")
    beside = [(v.head, c.estimate) for v in verdicts if (c := v.control(UNTRAINED)) and c.estimate is not None]
    if beside:
        places, numbers = zip(*beside, strict=True)
        ax.plot(places, numbers, "x", color=UNTRAINED_COLOUR, markersize=5, label="untrained")
    if verdicts[0].threshold is not None:
        ax.axhline(verdicts[0].threshold, color=CHANCE, linewidth=1, linestyle=":", label="what is asked")
    ax.set_xticks(at if len(at) <= 16 else at[:: -(-len(at) // 16)])


def _rows(name: str, verdicts: Sequence[Verdict]) -> Iterator[tuple[Any, ...]]:
    for v in verdicts:
        control = v.control(UNTRAINED)
        numbers = (v.estimate, v.low, v.high, None if control is None else control.estimate)
        yield (name, v.head, *(None if n is None else round(n, 6) for n in numbers), v.verdict.lower())
