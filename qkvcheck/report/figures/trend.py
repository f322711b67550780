"""Trend: claims over checkpoints, as a table for a terminal and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qkvcheck.claims import Decision, number_text
from qkvcheck.errors import SettingsError
from qkvcheck.record import Trend, TrendCell, TrendPoint
from qkvcheck.report.figures.drawing import panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUFFIXES = (".png", ".svg", ".pdf")
WIDEST_LABEL = 16
COLOURS = {Decision.SUPPORTED: "#1a7f37", Decision.REFUTED: "#c62828", Decision.INCONCLUSIVE: "#9a6700"}
MARKS = {Decision.SUPPORTED: "o", Decision.REFUTED: "X", Decision.INCONCLUSIVE: "D"}


def trend_lines(trend: Trend) -> list[str]:
    """Return a row a cell and a column a checkpoint: estimate, interval and verdict; a flip is marked.

    Parameters
    ----------
    trend : Trend
        At least one checkpoint.
    """
    rows = [["cell", "bound", *trend.names]]
    rows += [[cell.key, cell.bound or "?", *map(_text, cell.points)] for cell in trend.cells]
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    heads = zip(trend.names, trend.models, trend.fingerprints, strict=True)
    lines = [f"{name}: {model or 'model not said'}, {print_[:12]}" for name, model, print_ in heads]
    lines += ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    turned = [cell.key for cell in trend.cells if cell.flips]
    told = f"FLIPPED: {', '.join(turned)} (each marked <> where it turned)." if turned else "No verdict turned."
    return [*lines, told]


def _text(point: TrendPoint | None) -> str:
    if point is None:
        return "-"
    mark = "<> " if point.flip else ""
    interval = "" if point.low is None else f" [{number_text(point.low)}, {number_text(point.high)}]"
    return f"{mark}{number_text(point.estimate)}{interval} {point.verdict.lower()}"


def draw_trend(trend: Trend, path: str | Path) -> None:
    """Draw a panel a cell: estimates with their intervals over checkpoints, the bound as a line, flips as a shade.

    Parameters
    ----------
    trend : Trend
        Cells without any estimate are left out.
    path : str or Path
        What is written: png, svg or pdf.

    Raises
    ------
    SettingsError
        If matplotlib is not installed, the name says no such kind, or there is nothing to draw.
    """
    if Path(path).suffix.lower() not in SUFFIXES:
        raise SettingsError(f"--picture {str(path)!r} can't be drawn; name a file that ends in {', '.join(SUFFIXES)}.")
    drawn = [cell for cell in trend.cells if any(point and point.estimate is not None for point in cell.points)]
    if not drawn:
        raise SettingsError("--picture: no cell of these files has an estimate; leave it out.")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise SettingsError("--picture needs matplotlib: pip install 'qkvcheck[report]'.") from None
    columns = min(3, len(drawn))
    with panels(len(drawn), width=4.2 * columns, height=3.0, columns=columns, share=False) as (canvas, every):
        for axes, cell in zip(every, drawn, strict=True):
            _panel(axes, cell, trend.names)
        canvas.savefig(path, dpi=150, facecolor="white")


def _panel(ax: Axes, cell: TrendCell, names: Sequence[str]) -> None:
    ax.grid(color="#d8dee4", linewidth=0.6)
    ax.set_axisbelow(True)
    known = [(at, one, one.estimate) for at, one in enumerate(cell.points) if one and one.estimate is not None]
    ax.plot([at for at, _, _ in known], [value for _, _, value in known], color="#8c959f", linewidth=1, zorder=1)
    for at, point, value in known:
        low, high = (value if end is None else end for end in (point.low, point.high))
        look: dict[str, Any] = {"fmt": MARKS.get(point.verdict, "s"), "color": COLOURS.get(point.verdict, "#57606a")}
        ends = [[max(value - low, 0.0)], [max(high - value, 0.0)]]
        ax.errorbar([at], [value], yerr=ends, capsize=4, markersize=6, zorder=2, **look)
        if point.flip:
            ax.axvspan(at - 0.5, at + 0.5, color="#c62828", alpha=0.1, linewidth=0)
    if cell.threshold is not None:
        ax.axhline(cell.threshold, color="black", linestyle="--", linewidth=1)
    ax.set_xticks(range(len(names)), [_short(name) for name in names], rotation=20 if len(names) > 4 else 0)
    ax.set_xlim(-0.5, len(names) - 0.5)
    ax.set_title(f"{cell.key}\n{cell.statistic or 'statistic not said'} {cell.bound or ''}", fontsize=9)


def _short(name: str) -> str:
    return name if len(name) <= WIDEST_LABEL else f"...{name[3 - WIDEST_LABEL :]}"
