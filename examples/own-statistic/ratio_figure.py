"""A figure of one's own: the participation ratio of Q, K and V as bars."""

from qkvcheck.report import Figure, register_figure
from qkvcheck.report.figures.drawing import TARGET, panels, svg_of


@register_figure("participation")
def participation(given):
    """Yield one figure a layer, where the run has the numbers."""
    found = {v.group: v.estimate for v in given.verdicts if v.statistic == "participation_ratio"}
    if not found:
        return
    name = f"participation-{given.layer}"
    with panels(1, width=4, height=2.5) as (canvas, (ax,)):
        ax.bar(list(found), list(found.values()), color=TARGET)
        ax.set_ylabel("participation ratio")
        alt = ", ".join(f"{group} {value:.2f}" for group, value in found.items())
        svg = svg_of(canvas, name=name, alt=alt)
    yield Figure(
        name,
        f"Participation ratio, layer {given.layer}",
        given.where,
        alt,
        svg,
        ("group", "participation ratio"),
        tuple(found.items()),
    )
