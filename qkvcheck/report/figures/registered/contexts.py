"""Figures of contexts: two against each other, all with all, and those that are least like the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from qkvcheck.claims import ContextMatrix, FoundExample, Verdict
from qkvcheck.groups import PROJECTIONS
from qkvcheck.record import Run
from qkvcheck.report.figures.drawing import CHANCE, DIVERGING, TARGET, WORDS, panels, short, svg_of
from qkvcheck.report.figures.picture import Figure, carrying
from qkvcheck.report.figures.registry import FigureInput, register_figure

WORST = 10
"""Contexts of the corpus that are listed as the worst."""


@register_figure("contexts", order=5, wide=True)
def context_figures(given: FigureInput) -> Iterator[Figure]:
    """Yield what there is to see of single contexts: two against each other, all with all, the worst."""
    verdicts, layer, where = given.verdicts, given.layer, given.where
    found = carrying(verdicts, "context_matrix", "pearson") or carrying(verdicts, "context_matrix", "cosine")
    kept = {name: part for name in PROJECTIONS if name in found and (part := found[name].evidence.context_matrix)}
    if not kept:
        return
    texts = given.run.corpus.texts
    n = max(len(texts), *(max(_numbers(part)) + 1 for part in kept.values()))
    names = [_prefix(given.run, row) if row < len(texts) else f"context {row + 1}" for row in range(n)]
    shown = {name: [names[row] for row in _numbers(part)] for name, part in kept.items()}
    fewest = min(part.n for part in kept.values())
    drawn = any(part.contexts is not None for part in kept.values())
    of_some = f"{where}, {fewest} of {n:,} contexts, drawn" if drawn else where
    scattered = {name: found[name] for name in kept if found[name].evidence.scatter is not None}
    yield from _scatter(scattered, layer, where, names)
    matrices = {name: whole_matrix(part) for name, part in kept.items()}
    for name, matrix in matrices.items():
        yield _context_matrix(matrix, name, found[name].measure, layer, of_some, shown[name])
    yield _worst(matrices, layer, of_some, shown, verdicts)


def _numbers(part: ContextMatrix) -> Sequence[int]:
    """Return which contexts a matrix is of, by their numbers."""
    return range(part.n) if part.contexts is None else part.contexts


def _prefix(run: Run, row: int) -> str:
    """Return a sentence up to its target, which is all that the target can see."""
    text, target = run.corpus.texts[row], str(run.corpus.target)
    found = text.find(target)
    return str(text) if found < 0 else str(text[: found + len(target)])


def whole_matrix(kept: ContextMatrix) -> np.ndarray:
    """Return the symmetric matrix of which a verdict carries what is above the diagonal."""
    n = kept.n
    matrix = np.eye(n)
    rows, columns = np.triu_indices(n, k=1)
    matrix[rows, columns] = matrix[columns, rows] = kept.above
    return matrix


def _scatter(found: Mapping[str, Verdict], layer: int, where: str, names: Sequence[str]) -> Iterator[Figure]:
    if not found:
        return
    rows: list[tuple[Any, ...]] = []
    told = []
    with panels(len(found), width=3.1 * len(found), height=3.3, share=False) as (canvas, axes):
        for ax, (block, verdict) in zip(axes, found.items(), strict=True):
            kept = verdict.evidence.scatter
            assert kept is not None  # chosen by it
            one, other = (
                short(names[place]) if place < len(names) else f"context {place + 1}" for place in kept.contexts
            )
            ax.plot(kept.x, kept.y, "o", color=TARGET, markersize=2.2, alpha=0.6)
            ax.axline((0, 0), slope=1, color=CHANCE, linewidth=0.8, linestyle=":")
            ax.set_title(f"{block}: r = {kept.similarity:.2f}")
            ax.set_xlabel(one, fontsize=7, parse_math=False)
            ax.set_ylabel(other, fontsize=7, parse_math=False)
            told.append(f"{block} {kept.similarity:.2f}")
            rows += [(block, place, x, y) for place, (x, y) in enumerate(zip(kept.x, kept.y, strict=True))]
        alt = f"One context's numbers against another's at layer {layer}; similarity: {', '.join(told)}."
        svg = svg_of(canvas, name=f"scatter-{layer}", alt=alt)
    yield Figure(
        f"scatter-{layer}",
        f"One context against another, layer {layer}",
        f"{where}, layer {layer} (zero-based). A point is a dimension. Of all pairs of contexts the one is shown whose "
        "similarity is nearest to the median: neither the best nor the worst.",
        alt,
        svg,
        ("block", "dimension", "x", "y"),
        tuple(rows),
    )


def _context_matrix(
    matrix: np.ndarray, block: str, measure: str, layer: int, where: str, names: Sequence[str]
) -> Figure:
    n = len(matrix)
    size = min(max(5.0, 0.14 * n), 14.0)
    off = matrix[~np.eye(n, dtype=bool)]
    with panels(1, width=size + 2.6, height=size) as (canvas, (ax,)):
        image = ax.imshow(matrix, cmap=DIVERGING, vmin=-1, vmax=1, interpolation="none")
        ax.set_yticks(range(n))
        ax.set_yticklabels([short(name) for name in names[:n]], fontsize=6, parse_math=False)
        ax.set_xticks([])
        ax.grid(False)
        canvas.colorbar(image, ax=ax, label=measure, shrink=0.6)
        alt = (
            f"Matrix of the {measure} similarities of {block} between {n} contexts at layer {layer}: from "
            f"{off.min():.2f} to {off.max():.2f}, mean {off.mean():.2f}."
        )
        svg = svg_of(canvas, name=f"contexts-{layer}-{block}", alt=alt)
    return Figure(
        f"contexts-{layer}-{block}",
        f"Contexts against contexts, {block}, layer {layer}",
        f"{where}, layer {layer} (zero-based), {measure} over the dimensions of {block}. Rows are named by what "
        "stands up to the target; columns are in the same order.",
        alt,
        svg,
        ("context", *(f"c{k}" for k in range(n))),
        tuple((names[k], *(round(float(v), 4) for v in matrix[k])) for k in range(n)),
    )


def _worst(
    matrices: Mapping[str, np.ndarray],
    layer: int,
    where: str,
    names: Mapping[str, Sequence[str]],
    verdicts: Sequence[Verdict],
) -> Figure:
    rows: list[tuple[Any, ...]] = []
    with panels(len(matrices), width=3.4 * len(matrices), height=3.2, share=False) as (canvas, axes):
        for ax, (block, matrix) in zip(axes, matrices.items(), strict=True):
            means = (matrix.sum(axis=1) - 1) / max(len(matrix) - 1, 1)
            listed = [(float(means[k]), names[block][k], "corpus") for k in np.argsort(means, kind="stable")[:WORST]]
            listed += [(found.value, found.text or "", "found by search") for found in _searched(verdicts, block)]
            listed.sort(key=lambda entry: entry[0])
            for place, (value, _, source) in enumerate(listed):
                ax.plot(value, place, "o" if source == "corpus" else "D", color=TARGET if source == "corpus" else WORDS)
            ax.set_yticks(range(len(listed)))
            ax.set_yticklabels([short(name) for _, name, _ in listed], fontsize=6.5, parse_math=False)
            ax.invert_yaxis()
            ax.set_title(block)
            ax.set_xlim(-1, 1)
            rows += [(block, round(value, 6), name, source) for value, name, source in listed]
        canvas.supxlabel("mean similarity to the corpus (diamond: found by a search)", fontsize=8)
        least = ", ".join(f"{block} {min(r[1] for r in rows if r[0] == block):.2f}" for block in matrices)
        alt = f"The contexts least like the others at layer {layer}; the lowest mean similarity: {least}."
        svg = svg_of(canvas, name=f"worst-{layer}", alt=alt)
    return Figure(
        f"worst-{layer}",
        f"The contexts least like the others, layer {layer}",
        f"{where}, layer {layer} (zero-based). The mean similarity of a context's target to those of the corpus. "
        "Diamonds are contexts that hypothesis wrote to break the claim: how many there are says nothing of how often.",
        alt,
        svg,
        ("block", "mean similarity", "context", "source"),
        tuple(rows),
    )


def _searched(verdicts: Sequence[Verdict], projection: str) -> list[FoundExample]:
    found = [v.evidence.search for v in verdicts if v.group == projection and v.evidence.search is not None]
    entries = [entry for search in found for entry in (search.found, search.worst) if entry and entry.text is not None]
    # The simplest context that a search found may be the worst one too.
    return list({entry.text: entry for entry in entries}.values())
