"""Figures over dimensions: histograms, cosine against Pearson, the matrix, what the mean squared cosine is made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from qkvcheck.claims import Evidence, Verdict, drawn_controls
from qkvcheck.groups import PAIR_GROUPS, PROJECTIONS, group_text
from qkvcheck.report.figures.drawing import (
    BEFORE,
    CHANCE,
    DIVERGING,
    FILL,
    INK,
    TARGET,
    WORDS,
    colour_of,
    panels,
    svg_of,
)
from qkvcheck.report.figures.picture import Figure, carrying
from qkvcheck.report.figures.registry import FigureInput, register_figure


@register_figure("histograms", order=1, wide=True)
def histograms(given: FigureInput) -> Iterator[Figure]:
    """Yield the six histograms at the target, the controls beside them: the lecture's picture."""
    layer, where = given.layer, given.where
    found = carrying(given.verdicts, "histograms", "cosine")
    columns = ("target", *(control.label for control in drawn_controls()))
    groups = [group for group in PAIR_GROUPS if group in found and found[group].evidence.distribution]
    if not groups:
        return
    from scipy.stats import beta

    rows = []
    with panels(len(groups), width=9, height=2.7) as (canvas, axes):
        for ax, group in zip(axes, groups, strict=True):
            evidence = found[group].evidence
            counts, n = _counts(evidence), found[group].n_distinct or 2
            edges = _edges(counts)
            centres = (edges[:-1] + edges[1:]) / 2
            ax.stairs(_density(counts), edges, fill=True, color=FILL)
            ax.stairs(_density(counts), edges, color=TARGET, linewidth=1.5, label="target")
            series = {"target": counts}
            for control in drawn_controls():
                beside = list((evidence.histograms or {}).get(control.name, ()))
                if len(beside) == len(counts):
                    label = control.label
                    series[label] = beside
                    ax.stairs(_density(series[label]), edges, color=colour_of(control), linewidth=1.1, label=label)
            chance = beta.pdf((centres + 1) / 2, (n - 1) / 2, (n - 1) / 2) / 2
            ax.plot(centres, chance, color=CHANCE, linewidth=1, linestyle=":", label="shuffled")
            ax.set_title(group_text(group))
            ax.set_ylim(0, 2.4)
            rows += [
                (
                    group,
                    round(float(left), 4),
                    *(int(series[name][place]) if name in series else "" for name in columns),
                )
                for place, left in enumerate(edges[:-1])
            ]
        canvas.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=5, fontsize=8)
        canvas.supxlabel("cosine between two dimensions, over the contexts")
        canvas.supylabel("density")
        beyond = {g: _share_beyond(found[g].evidence) for g in groups}
        shares = ", ".join(f"{group_text(g)} {share:.0%}" for g, share in beyond.items())
        alt = (
            f"Histograms of the cosines between dimensions at layer {layer}, from -1 to 1, by pair group. Share of "
            f"pairs beyond 0.5 on either side: {shares}."
        )
        svg = svg_of(canvas, name=f"histograms-{layer}", alt=alt)
    yield Figure(
        f"histograms-{layer}",
        f"Cosines between dimensions, layer {layer}",
        f"{where}, layer {layer} (zero-based). Each panel is a pair group; within a block pairs are counted once. "
        "A curve that the untrained network or the other words share is no sign of what was learned. Shuffled: what "
        "random vectors of as many contexts give (closed form); its peak is cut off.",
        alt,
        svg,
        ("group", "from", *columns),
        tuple(rows),
    )


@register_figure("cosine_and_pearson", order=2, wide=True)
def cosine_and_pearson(given: FigureInput) -> Iterator[Figure]:
    """Yield the histograms of cosine and Pearson, one over the other."""
    layer, where = given.layer, given.where
    cosine, pearson = (carrying(given.verdicts, "distribution", measure) for measure in ("cosine", "pearson"))
    groups = [
        group
        for group in PAIR_GROUPS
        if group in cosine
        and group in pearson
        and len(_counts(cosine[group].evidence)) == len(_counts(pearson[group].evidence))
    ]
    if not groups:
        return
    rows = []
    with panels(len(groups), width=9, height=2.5) as (canvas, axes):
        for ax, group in zip(axes, groups, strict=True):
            counts = [_counts(found[group].evidence) for found in (cosine, pearson)]
            edges = _edges(counts[0])
            ax.stairs(_density(counts[0]), edges, color=TARGET, linewidth=1.4, label="cosine")
            ax.stairs(_density(counts[1]), edges, color=WORDS, linewidth=1.4, label="Pearson: means taken off")
            ax.set_title(group_text(group))
            rows += [(group, round(float(left), 4), *pair) for left, *pair in zip(edges[:-1], *counts, strict=True)]
        canvas.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=5, fontsize=8)
        canvas.supxlabel("similarity of two dimensions, over the contexts")
        canvas.supylabel("density")
        alt = (
            f"Histograms of cosine and Pearson correlation between dimensions at layer {layer}, for six pair groups. "
            f"Beyond 0.5 on either side: {_beyond(cosine, groups)} by cosine, {_beyond(pearson, groups)} by Pearson."
        )
        svg = svg_of(canvas, name=f"pearson-{layer}", alt=alt)
    yield Figure(
        f"pearson-{layer}",
        f"Cosine against Pearson, layer {layer}",
        f"{where}, layer {layer} (zero-based). Pearson takes each dimension's mean over the contexts off before it "
        "compares. Poles that are left then are co-variation; poles that go were mean offset.",
        alt,
        svg,
        ("group", "from", "cosine", "pearson"),
        tuple(rows),
    )


def _beyond(found: Mapping[str, Verdict], groups: Sequence[str]) -> str:
    shares = [_share_beyond(found[g].evidence) for g in groups]
    return f"{min(shares):.0%} to {max(shares):.0%}"


def _counts(evidence: Evidence) -> list[int]:
    return [] if evidence.distribution is None else list(evidence.distribution.histogram)


def _share_beyond(evidence: Evidence) -> float:
    """Return the share of pairs beyond 0.5 on either side."""
    shape = evidence.distribution
    return 0.0 if shape is None else shape.share_low + shape.share_high


def _edges(counts: Sequence[int]) -> np.ndarray:
    return np.linspace(-1, 1, len(counts) + 1)


def _density(counts: Sequence[int]) -> np.ndarray:
    values = np.asarray(counts, dtype=float)
    density: np.ndarray = values / max(values.sum(), 1) * len(values) / 2
    return density


@register_figure("dimension_matrix", order=3)
def dimension_matrix(given: FigureInput) -> Iterator[Figure]:
    """Yield the matrix of cosines between all dimensions, Q, K and V side by side, coarse."""
    layer, where = given.layer, given.where
    found = carrying(given.verdicts, "dimension_matrix", "cosine")
    if not all(group in found for group in PAIR_GROUPS):
        return
    tiles = {}
    for group in PAIR_GROUPS:
        kept = found[group].evidence.dimension_matrix
        assert kept is not None  # `carrying` looked
        tiles[group] = np.reshape(kept.cells, (kept.rows, kept.columns))
    sizes = {name: len(tiles[2 * name]) for name in PROJECTIONS}
    if any(tile.shape != (sizes[group[0]], sizes[group[1]]) for group, tile in tiles.items()):
        return  # parts of different pictures
    whole = np.block([[tiles[a + b] if a + b in tiles else tiles[b + a].T for b in PROJECTIONS] for a in PROJECTIONS])
    ends = np.cumsum([0, *(tiles[2 * block].shape[0] for block in PROJECTIONS)])
    with panels(1, width=6.2, height=5.6) as (canvas, (ax,)):
        image = ax.imshow(whole, cmap=DIVERGING, vmin=-1, vmax=1, interpolation="none")
        middles = (ends[:-1] + ends[1:] - 1) / 2
        ax.set_xticks(middles, PROJECTIONS)
        ax.set_yticks(middles, PROJECTIONS)
        ax.grid(False)
        for end in ends[1:-1]:
            ax.axhline(end - 0.5, color=INK, linewidth=0.8)
            ax.axvline(end - 0.5, color=INK, linewidth=0.8)
        canvas.colorbar(image, ax=ax, label="mean cosine of the pairs in a cell", shrink=0.8)
        alt = (
            f"Matrix of the mean cosines between the dimensions of Q, K and V at layer {layer}, in "
            f"{len(whole)} x {len(whole)} cells, from {whole.min():.2f} to {whole.max():.2f}. Corners of a "
            "block stand for dimensions with opposite offsets."
        )
        svg = svg_of(canvas, name=f"matrix-{layer}", alt=alt)
    yield Figure(
        f"matrix-{layer}",
        f"Dimensions against dimensions, layer {layer}",
        f"{where}, layer {layer} (zero-based). In each block the dimensions are ordered by their offset, from the most "
        "negative to the most positive, so that those with a bias of one sign stand together: blue against red in the "
        "corners is bias, whatever the context. A cell is the mean over its pairs.",
        alt,
        svg,
        ("row", *(f"c{n}" for n in range(len(whole)))),
        tuple((number, *(round(float(v), 3) for v in row)) for number, row in enumerate(whole)),
    )


@register_figure("offsets", order=4)
def offsets(given: FigureInput) -> Iterator[Figure]:
    """Yield what the mean squared cosine is made of, as stacked bars."""
    layer, where = given.layer, given.where
    found = carrying(given.verdicts, "offset", "cosine")
    groups = [group for group in PAIR_GROUPS if group in found]
    if not groups:
        return
    made = {group: part for group in groups if (part := found[group].evidence.offset) is not None}
    parts = {name: [getattr(made[group], name) for group in groups] for name in ("offset", "cross", "residual")}
    labels = {"offset": ("mean offset", TARGET), "cross": ("cross term", BEFORE), "residual": ("co-variation", WORDS)}
    with panels(1, width=7, height=3) as (canvas, (ax,)):
        left = np.zeros(len(groups))
        for name, (label, colour) in labels.items():
            values = np.maximum(parts[name], 0)
            ax.barh([group_text(g) for g in groups], values, left=left, color=colour, label=label, height=0.6)
            left += values
        ax.invert_yaxis()
        ax.set_xlabel("mean squared cosine")
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.18), ncols=3, fontsize=8)
        shares = ", ".join(f"{group_text(g)} {made[g].share:.0%}" for g in groups)
        alt = f"Stacked bars of the mean squared cosine at layer {layer}. Share of mean offset: {shares}."
        svg = svg_of(canvas, name=f"offset-{layer}", alt=alt)
    yield Figure(
        f"offset-{layer}",
        f"What the mean squared cosine is made of, layer {layer}",
        f"{where}, layer {layer} (zero-based). An exact decomposition: mean offset comes from dimensions whose "
        "values have the same sign in every context; co-variation is what moves together from one context to the next. "
        "A negative cross term is not drawn; the table has it.",
        alt,
        svg,
        ("group", "offset", "cross", "co-variation", "mean square"),
        tuple(
            (g, *(round(parts[n][k], 6) for n in parts), round(made[g].mean_square, 6)) for k, g in enumerate(groups)
        ),
    )
