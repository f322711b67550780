"""Arrays: judge an array, such as another tool captured, by a claim made on the spot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate

import numpy as np

from qkvcheck.capture import head_columns
from qkvcheck.claims.claim import BOUNDS, MARGIN, MIN_DISTINCT, Claim, Direction, at_heads, cells
from qkvcheck.claims.judging import JudgeOptions, check_cells, judge_sample
from qkvcheck.claims.verdict import Verdict
from qkvcheck.errors import ClaimError
from qkvcheck.groups import PROJECTIONS, Comparison, axis_of, heads_obstacle, heads_of
from qkvcheck.statistics import Sample, Statistic, statistic_named


def judge(
    array: np.ndarray | Sequence[np.ndarray],
    *,
    statistic: str,
    group: str,
    above: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    measure: str = "cosine",
    projections: Mapping[str, slice] | None = None,
    heads: int | Mapping[str, int] | None = None,
    head: int | None = None,
    clusters: Sequence[str] | None = None,
    controls: Mapping[str, np.ndarray] | None = None,
    margin: float = MARGIN,
    min_distinct: int = MIN_DISTINCT,
    id: str = "claim",  # noqa: A002 (as claims files and markers name it)
    layer: int = 0,
) -> Verdict:
    """Judge a claim about an array: SUPPORTED if its whole interval clears the bound, REFUTED if all of it misses.

    Parameters
    ----------
    array : ndarray, or sequence of ndarray
        (context, width), floating: the rows of one target; (context, word, width) for statistics over words; or the
        several arrays that a statistic takes (its `form`).
    statistic : str
        A registered one, such as ``"row_mean"`` or ``"variance"``.
    group : str
        A projection (``"Q"``) to compare contexts, a pair group (``"QK"``) to compare dimensions.
    above, at_least, at_most : float
        The bound; one of them.
    measure : str
        ``"cosine"`` or ``"pearson"``.
    projections : mapping of str to slice, optional
        Where Q, K and V stand along the width. Without it a group of one projection takes the whole width, and others
        take parts in proportion to their heads, or three equal ones.
    heads : int or mapping of str to int, optional
        How many heads Q, K and V have, which stand head after head; such as ``{"Q": 9, "K": 3, "V": 3}`` with grouped
        queries. Of one projection that takes the whole width, its own.
    head : int, optional
        Judge this head alone, zero-based: of K and V the head that it reads. The interval is of this head by itself.
    clusters : sequence of str, optional
        Each context's cluster: those that share one leave the jackknife together.
    controls : mapping of str to ndarray, optional
        The same measurement where the claim should not hold, each shaped as `array`, by its name.
    margin : float
        How far a control has to stay away for the claim to be specific against it.
    min_distinct : int
        With fewer distinct contexts the claim is NOT JUDGED.
    id, layer : str, int
        Name the verdict.

    Returns
    -------
    Verdict
        With estimate, 95 % interval, controls and evidence.

    Raises
    ------
    ClaimError
        If the bound, the statistic or the group makes no sense, or an array holds NaN or infinite values.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> rows = rng.normal(size=(54, 16)) + 3 * rng.normal(size=16)
    >>> judge(rows, statistic="row_mean", group="Q", above=0.5, controls={"noise": rng.normal(size=(54, 16))}).verdict
    <Decision.SUPPORTED: 'SUPPORTED'>
    """
    arrays = (array,) if isinstance(array, np.ndarray) else tuple(np.asarray(one) for one in array)
    given = {name: bound for name, bound in zip(BOUNDS, (above, at_least, at_most), strict=True) if bound is not None}
    if len(given) != 1:
        raise ClaimError(f"{len(given)} bounds were given; give one of above=, at_least= and at_most=.")
    ((direction, threshold),) = given.items()
    sample = _sample(arrays, group, projections, clusters, heads)
    counts = _counts(heads, sample.projections)
    sample = replace(sample, heads=counts)
    claim = Claim(
        id=id,
        statement=f"{statistic} of {group} ({measure}) {_words(direction)} {threshold:g}",
        statistic=statistic,
        direction=direction,
        threshold=float(threshold),
        axis=axis_of([group]),
        groups=(group,),
        measures=(measure,),
        primary=(Comparison(group, measure),),
        heads=None if head is None else heads_of(head),
        controls=tuple(controls or ()),
        margin=margin,
    )
    taken = statistic_named(statistic)
    check_cells(claim)
    _check_arrays(taken, arrays)
    compared = {name: _control(name, rows, sample, clusters) for name, rows in (controls or {}).items()}
    options = JudgeOptions(min_distinct=min_distinct)
    (cell,) = cells(claim, layers=[layer])
    if head is not None:
        if not counts or claim.heads is None:
            raise ClaimError(f"head is {head} and heads {heads}; give a number from 0, and how many heads there are.")
        (cell,) = at_heads(claim, cell, counts)
        sample, compared = (_cut(sample, counts, head), {n: _cut(one, counts, head) for n, one in compared.items()})
    return judge_sample(claim, cell, sample, controls=compared, options=options)


def _check_arrays(statistic: Statistic, arrays: Sequence[np.ndarray]) -> None:
    """Raise `ClaimError` unless arrays are as many, and have the axes, as what a statistic is captured on."""
    form = statistic.form
    if form is None:
        return
    if len(arrays) != form.arrays:
        counted = f"{form.arrays} {'arrays' if form.arrays > 1 else 'array'}"
        raise ClaimError(f"{statistic.name} takes {counted}; {len(arrays)} given.")
    odd = next((array for array in arrays if array.ndim != form.axes), None)
    if odd is not None:
        named = "(context, word, width)" if form.axes > 2 else "(context, width)"
        raise ClaimError(f"{statistic.name} is of an array {named}; given is one of shape {odd.shape}.")


def _counts(heads: int | Mapping[str, int] | None, projections: Mapping[str, slice]) -> dict[str, int]:
    """Return how many heads each projection has; empty where nobody said."""
    if heads is None:
        return {}
    counts = {name: heads if isinstance(heads, int) else heads.get(name, 0) for name in projections}
    wrong = heads_obstacle(counts, {name: place.stop - place.start for name, place in projections.items()})
    if wrong is not None:
        raise ClaimError(f"heads {heads} make no sense: {wrong}.")
    return counts


def _cut(sample: Sample, heads: Mapping[str, int], head: int) -> Sample:
    columns, projections = head_columns(sample.projections, heads, head)
    arrays = tuple(array[..., columns] for array in sample.arrays)
    return replace(sample, arrays=arrays, projections=projections, heads=dict.fromkeys(projections, 1))


def _words(direction: Direction) -> str:
    return str(direction).replace("_", " ")


def _sample(
    arrays: tuple[np.ndarray, ...],
    group: str,
    projections: Mapping[str, slice] | None,
    clusters: Sequence[str] | None,
    heads: int | Mapping[str, int] | None = None,
) -> Sample:
    if not arrays:
        raise ClaimError("no array was given; give one of shape (context, width).")
    width = arrays[0].shape[-1] if arrays[0].ndim else 0
    for rows in arrays:
        if rows.ndim not in (2, 3) or len(rows) == 0 or rows.dtype.kind != "f" or rows.shape[-1] != width:
            raise ClaimError(
                f"an array of shape {rows.shape} and type {rows.dtype} can't be judged; give floating numbers, "
                "(context, width) or (context, word, width)."
            )
        if clusters is not None and len(clusters) != len(rows):
            raise ClaimError(f"{len(clusters)} clusters were given for {len(rows)} contexts; give one a context.")
    known = PROJECTIONS if projections is None else tuple(projections)
    if len(group) not in (1, 2) or not set(group) <= set(known):
        raise ClaimError(f"group {group!r} is none of the projections {', '.join(known)}, and no pair of them.")
    if projections is None:
        projections = _assumed(group, width, heads)
    own = None if clusters is None else tuple(tuple(clusters) for _ in arrays)
    return Sample(arrays, projections, own)


def _control(name: str, rows: np.ndarray, own: Sample, clusters: Sequence[str] | None) -> Sample:
    shape = own.arrays[0].shape[1:]
    if rows.shape[1:] != shape:
        raise ClaimError(f"control {name!r} has shape {rows.shape}; give it the shape of the array.")
    return _sample((rows,), next(iter(own.projections)), own.projections, clusters)


def _assumed(group: str, width: int, heads: int | Mapping[str, int] | None) -> dict[str, slice]:
    """Return where projections stand if nobody says: one everywhere, or all three, each as wide as its heads."""
    if len(set(group)) == 1:
        return {group[0]: slice(0, width)}
    if isinstance(heads, Mapping):
        if set(heads) != set(PROJECTIONS) or min(heads.values()) < 1 or width % sum(heads.values()):
            raise ClaimError(
                f"a width of {width} is not that of heads {dict(heads)}, all as wide; say with projections= where Q, K "
                "and V stand."
            )
    elif width % len(PROJECTIONS):
        raise ClaimError(f"a width of {width} is not three equal parts; say with projections= where Q, K and V stand.")
    parts = [heads[name] if isinstance(heads, Mapping) else 1 for name in PROJECTIONS]
    ends = [width // sum(parts) * count for count in (0, *accumulate(parts))]
    return {name: slice(ends[number], ends[number + 1]) for number, name in enumerate(PROJECTIONS)}
