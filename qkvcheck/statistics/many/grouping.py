"""Grouping: many clusters of contexts put into at most 200 groups, which leave the jackknife instead of them.

The delete-a-group jackknife (Shao and Tu 1995, section 5.2; Kott 2001, J. Off. Stat. 17:521): with G groups of about
equal size its bias correction and standard error are those of the delete-one jackknife, on G - 1 degrees of freedom. No
cluster is split. Which group a cluster is in hangs on its name and on a fixed seed, not on the order of contexts; one
cluster more or fewer moves few of the others, since groups are cut out of one order of all clusters.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from qkvcheck.statistics.many.limits import SEED

GROUPS = 200
"""So many groups at most; up to so many clusters each leaves by itself."""


@dataclass(frozen=True)
class Grouping:
    """Which group each of many clusters is in.

    Attributes
    ----------
    of : mapping of str to str
        The group of each cluster.
    seed : int
        Of the order of clusters out of which groups are cut.
    """

    of: Mapping[str, str]
    seed: int = SEED

    @property
    def clusters(self) -> int:
        """How many clusters there are."""
        return len(self.of)

    def grouped(self, labels: Sequence[str]) -> list[str]:
        """Return what each row leaves with: the group of its cluster; a cluster that is in none stays itself."""
        return [self.of.get(label, label) for label in labels]


def group_clusters(
    labels: Iterable[str], *, most: int = GROUPS, keys: Mapping[str, str] | None = None, seed: int = SEED
) -> Grouping | None:
    """Put clusters into groups of about equal numbers of rows.

    Clusters stand in the order of sha256(seed, name). One that has more rows than its share of what is left (rows left
    / groups left) is a group by itself; out of the others, in that order, groups are cut at equal steps of their rows,
    and a cluster belongs where its middle row lies.

    Parameters
    ----------
    labels : iterable of str
        The cluster of each row.
    most : int
        Groups.
    keys : mapping of str to str, optional
        Names to order clusters by, where their own are no names: those of rows that nothing is known of.
    seed : int
        Of the order.

    Returns
    -------
    Grouping or None
        None where there are no more clusters than groups: then each leaves by itself.

    Examples
    --------
    >>> group_clusters(["a", "b", "b"]) is None
    True
    >>> found = group_clusters([f"c{k}" for k in range(12)], most=3)
    >>> sorted(Counter(found.of.values()).values())
    [4, 4, 4]
    """
    sizes = Counter(labels)
    if len(sizes) <= most:
        return None
    named = keys or {}
    order = sorted(sizes, key=lambda one: (_place(named.get(one, one), seed), one))
    rows, groups = sum(sizes.values()), most
    alone: set[str] = set()
    for one in sorted(sizes, key=lambda cluster: -sizes[cluster]):
        if sizes[one] * groups <= rows:
            break
        alone.add(one)
        rows, groups = rows - sizes[one], groups - 1
    number: dict[str, tuple[int, int]] = {
        one: (0, place) for place, one in enumerate(filter(alone.__contains__, order))
    }
    before = 0
    for one in order:
        if one not in alone:
            number[one] = (1, (2 * before + sizes[one]) * groups // (2 * rows))
            before += sizes[one]
    names = {place: f"group {at:03d}" for at, place in enumerate(sorted(set(number.values())))}
    return Grouping({one: names[place] for one, place in number.items()}, seed)


def _place(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed} {name}".encode()).digest()
