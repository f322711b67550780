"""Scores: queries as all contexts' keys see them, and keys as all contexts' queries do; no basis enters.

Of a head with queries Q (context, dimension) and the keys K that it reads, S = Q K' holds the product of every
context's query with every context's key. A statistic of contexts or dimensions is computed of S in the place of Q and
of S' in the place of K, all heads side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from qkvcheck.errors import NotCapturedError
from qkvcheck.groups import HEADS_UNKNOWN, Comparison
from qkvcheck.statistics.many.limits import SCORED, drawn_rows
from qkvcheck.statistics.registry import Statistic
from qkvcheck.statistics.sample import Rows


def score_rows(rows: Rows) -> Rows:
    """Return rows with queries and keys as each other's contexts see them.

    With n distinct contexts and H query heads, the block Q holds [S_1, ..., S_H] (context, H n), S_h = Q_h K_g' with g
    the key head that h reads, and the block K holds [S_1', ..., S_H']. Nothing is scaled or centred. Under
    Q_h -> Q_h M, K_g -> K_g inv(M)' with one M a key head, S_h stays as it is. Of rows as the projections of a model
    with rotary embedding put them out, S_h is what scores would be if all tokens stood at one place.

    Parameters
    ----------
    rows : Rows
        Of one captured array, (context, width), with queries and keys.

    Raises
    ------
    NotCapturedError
        If there are no queries or keys, or it is not known how many heads they have.
    """
    if len(rows.arrays) != 1 or rows.arrays[0].ndim != 2 or not {"Q", "K"} <= set(rows.projections):
        raise NotCapturedError("scores are products of queries and keys, and these rows do not hold both")
    if not rows.heads:
        raise NotCapturedError(HEADS_UNKNOWN)
    n = len(rows.arrays[0])
    values = rows.arrays[0].astype(np.float64)
    query, key = (values[:, rows.projections[name]].reshape(n, rows.heads[name], -1).swapaxes(0, 1) for name in "QK")
    seen = query @ np.repeat(key, len(query) // len(key), axis=0).swapaxes(1, 2)  # (head, query's, key's context)
    arrays = [seen.transpose(axes).reshape(n, -1) for axes in ((1, 0, 2), (2, 0, 1))]
    width = arrays[0].shape[1]
    places = {"Q": slice(0, width), "K": slice(width, 2 * width)}
    return replace(rows, arrays=(np.concatenate(arrays, axis=1),), projections=places, heads={}, turns=None)


def score_values(statistic: Statistic, rows: Rows, comparisons: Sequence[Comparison]) -> dict[Comparison, float]:
    """Return a statistic of queries and keys as each other's contexts see them, for several comparisons at once.

    Comparisons with values are left out: of them scores say nothing. Of more than `SCORED` contexts so many are
    taken, as `drawn_rows` draws them: there are as many scores as pairs of contexts. See `score_rows` for what raises.
    """
    drawn = drawn_rows(rows.n_distinct, SCORED)
    every = [comparison for comparison in comparisons if set(comparison.group) <= {"Q", "K"}]

    def compute() -> dict[Comparison, float]:
        seen = score_rows(replace(rows, arrays=tuple(array[drawn] for array in rows.arrays)))
        return dict(zip(every, statistic.values(seen.arrays, seen, every), strict=True))

    return rows.keep(("scores", statistic, tuple(every)), compute)
