"""Drawn: every figure for which a run carries the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from qkvcheck.claims import Role
from qkvcheck.record import Finding, Run
from qkvcheck.report.figures.picture import Figure
from qkvcheck.report.figures.registry import FigureInput, registered_figures

DRAWN_LAYERS = 3
"""Layers that get pictures of their own; more are in the profile."""


def figures_of(run: Run, findings: Sequence[Finding], *, only: str | None = None) -> list[Figure]:
    """Return every figure for which a run carries the numbers.

    Parameters
    ----------
    run : Run
        Of the result file.
    findings : sequence of Finding
        Its verdicts.
    only : str, optional
        The registered name of a figure: then that one, at the first layer.
    """
    verdicts = [finding.verdict for finding in {f.verdict.key: f for f in findings}.values()]
    where = f"{run.origin.spec}, {run.corpus.contexts} contexts"
    layers = sorted({verdict.layer for verdict in verdicts})
    decisive = sorted({v.layer for v in verdicts if v.role == Role.DECIDES}) or layers
    chosen = (decisive + [layer for layer in layers if layer not in decisive])[:DRAWN_LAYERS]
    found: list[Figure] = []
    for over_layers, at_layers in ((False, chosen), (True, decisive[:1])):
        figures = [f for f in registered_figures() if f.over_layers is over_layers and only in (None, f.name)]
        for layer in at_layers if only is None else at_layers[:1]:
            at = verdicts if over_layers else [verdict for verdict in verdicts if verdict.layer == layer]
            for figure in figures:
                drawn = figure.draw(FigureInput(at, layer, where, run))
                found += [replace(one, wide=one.wide or figure.wide) for one in drawn]
    return found
