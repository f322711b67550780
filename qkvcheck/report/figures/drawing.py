"""Drawing: matplotlib figures as SVG that belongs to a page: its text is text, its colours are the page's."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from qkvcheck.claims import Control
from qkvcheck.errors import printable, slug

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

INK, GRID, TARGET, WORDS, UNTRAINED, BEFORE, CHANCE, FILL = (
    "#0a0001", "#0a0002", "#0a0003", "#0a0004", "#0a0005", "#0a0006", "#0a0007", "#0a0008",
)  # fmt: skip
"""Stand-ins for colours that the page's style sheet gives, for light and dark."""
_NAMES = {
    INK: "--ink",
    GRID: "--grid",
    TARGET: "--target",
    WORDS: "--words",
    UNTRAINED: "--untrained",
    BEFORE: "--before",
    CHANCE: "--chance",
    FILL: "--fill",
}
LIGHT = {
    INK: "#1b1f24",
    GRID: "#c3c9d1",
    TARGET: "#0b57a4",
    WORDS: "#a64b00",
    UNTRAINED: "#7a2d8f",
    BEFORE: "#2c6e31",
    CHANCE: "#6b7280",
    FILL: "#0b57a426",
}
"""The same of a figure that stands alone; a page's style sheet has them too."""
DIVERGING = "RdBu_r"
"""From -1 to 1, white at 0; readable on light and on dark."""
LONGEST = 40
"""Characters of a label; the table beside the figure holds the whole text."""
_STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # a text with dollar signs is no formula
    "axes.labelcolor": INK,
    "axes.edgecolor": GRID,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.frameon": False,
    "axes.titlesize": 9,
}


_BY_NAME = {"words": WORDS, "untrained": UNTRAINED, "before": BEFORE, "chance": CHANCE}


def colour_of(control: Control) -> str:
    """Return the colour of a control: of the page's style sheet by its name, or any other as it is."""
    return _BY_NAME.get(control.colour or "", control.colour or INK)


def short(text: str) -> str:
    """Return a text as a label: one line, no control characters, not long."""
    plain = printable(text)
    return plain if len(plain) <= LONGEST else f"{plain[: LONGEST - 1]}…"


@contextmanager
def panels(
    count: int, *, width: float, height: float, columns: int = 3, share: bool = True
) -> Iterator[tuple[Canvas, Sequence[Axes]]]:
    """Give a canvas with its panels, row by row, in the page's style; no state of matplotlib's outlives it.

    Parameters
    ----------
    count : int
        Of panels.
    width, height : float
        Of the canvas, and of one row of panels, inches.
    columns : int
        Panels beside each other, at most.
    share : bool
        Whether the panels share their axes.
    """
    import matplotlib
    from matplotlib.figure import Figure as Canvas

    # Fonts without a glyph are no matter: the text is drawn by the reader's browser.
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = -(-count // columns)
        canvas = Canvas(figsize=(width, height * rows), layout="constrained")
        # Room for a reader's font that is wider than the one that was measured.
        layout: Any = canvas.get_layout_engine()
        layout.set(w_pad=0.12, h_pad=0.06)
        axes = canvas.subplots(rows, min(columns, count), sharex=share, sharey=share, squeeze=False)
        every = [ax for row in axes for ax in row]
        for ax in every[count:]:
            ax.set_axis_off()
        yield canvas, every[:count]


def svg_of(canvas: Canvas, *, name: str, alt: str) -> str:
    """Return a canvas as SVG for a page, to be called within `panels`.

    Parameters
    ----------
    canvas : matplotlib Figure
        What was drawn.
    name : str
        Unlike that of any other figure of the page: the identities within follow from it.
    alt : str
        What a reader who can't see it is told.
    """
    import matplotlib

    name = slug(name)
    with matplotlib.rc_context({"svg.hashsalt": name}):
        buffer = io.StringIO()
        canvas.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Type": None, "Format": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<(?:path|use|g|image)\b[^>]*>", lambda tag: re.sub(r"(\.\d\d)\d+", r"\1", tag[0]), text)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'(href="#|url\(#)([^")]+)', rf"\1{name}-\2", text)
    for stand_in, variable in _NAMES.items():
        text = text.replace(stand_in, f"var({variable})")
    opening, rest = text.split(">", 1)
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', opening)
    assert size is not None  # savefig writes it
    label = _attribute(alt)
    width = float(size[1]) * 4 / 3  # points to pixels
    return f'<svg role="img" aria-label="{label}" viewBox="0 0 {size[1]} {size[2]}" width="{width:.0f}">{rest}'


def standalone(svg: str) -> str:
    """Return a figure of a page as a file of its own, in the colours of a light page."""
    colours = "".join(f"{_NAMES[stand_in]}:{colour};" for stand_in, colour in LIGHT.items())
    head, rest = svg.split(">", 1)
    head = head.replace(
        "<svg ", '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" ', 1
    )
    style = f"<style>svg{{{colours}background:#ffffff}}image{{image-rendering:pixelated}}</style>"
    return f"{head}>{style}{rest}"


def _attribute(text: str) -> str:
    from html import escape

    return escape(printable(text), quote=True)
