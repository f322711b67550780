"""Figures: the pictures of a run, from what its verdicts carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qkvcheck.claims import DECIDES
from qkvcheck.record import Finding
from qkvcheck.report.figures.contexts import context_figures
from qkvcheck.report.figures.dimensions import cosine_and_pearson, dimension_matrix, histograms, offsets
from qkvcheck.report.figures.layers import profiles
from qkvcheck.report.figures.picture import Figure

__all__ = ["Figure", "figures_of"]

DRAWN_LAYERS = 3
"""Layers that get pictures of their own; more are in the profile."""


def figures_of(run: Mapping[str, Any], findings: Sequence[Finding]) -> list[Figure]:
    """Return every figure for which a run carries the numbers.

    Parameters
    ----------
    run : mapping
        Of the result file.
    findings : sequence of Finding
        Its verdicts.
    """
    verdicts = {finding.verdict.key: finding.verdict for finding in findings}
    where = f"{run['model']['spec']}, {run['corpus']['contexts']} contexts"
    layers = sorted({verdict.layer for verdict in verdicts.values()})
    decisive = sorted({v.layer for v in verdicts.values() if v.role == DECIDES}) or layers
    chosen = (decisive + [layer for layer in layers if layer not in decisive])[:DRAWN_LAYERS]
    found: list[Figure] = []
    for layer in chosen:
        at = [verdict for verdict in verdicts.values() if verdict.layer == layer]
        for draw in (histograms, cosine_and_pearson, dimension_matrix, offsets):
            found += draw(at, layer, where)
        found += context_figures(at, layer, where, run)
    found += profiles(list(verdicts.values()), where)
    return found
