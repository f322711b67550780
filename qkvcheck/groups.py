"""Groups: queries, keys and values, the pair groups made of them, and words that files use for what is captured."""

from __future__ import annotations

import sys
from enum import Enum
from typing import NamedTuple

if sys.version_info >= (3, 11):
    from enum import StrEnum
else:

    class StrEnum(str, Enum):
        """An enumeration whose members are texts, as in Python 3.11."""

        __str__ = str.__str__

        def __format__(self, format_spec: str) -> str:
            return str.__format__(str(self), format_spec)


PROJECTIONS = ("Q", "K", "V")
"""Queries, keys and values, in the order in which they stand along the width."""
PAIR_GROUPS = ("QQ", "KK", "VV", "QK", "QV", "KV")
"""What dimensions are compared with: those of one projection among each other, or of one with those of another."""
MEASURES = ("cosine", "pearson")
"""How two vectors are compared."""
_ORDER = (*PROJECTIONS, *PAIR_GROUPS, "".join(PROJECTIONS))


class Comparison(NamedTuple):
    """What is compared, and how: a pair group or a projection, and a measure.

    Attributes
    ----------
    group : str
        Such as ``"QK"`` (dimensions of Q with those of K) or ``"Q"`` (contexts, in Q).
    measure : str
        ``"cosine"`` or ``"pearson"``; a statistic may have further ones.
    """

    group: str
    measure: str


class Layers(NamedTuple):
    """Layers as they are asked for: by number, and as shares of a model's depth.

    Attributes
    ----------
    numbers : tuple of int
        Zero-based.
    shares : tuple of float
        From 0 to 1.
    """

    numbers: tuple[int, ...]
    shares: tuple[float, ...] = ()

    def at(self, depth: int) -> tuple[int, ...]:
        """Return the layers of a model of so many, in order, each once.

        Examples
        --------
        >>> Layers((6,), (0.25, 0.5)).at(30)
        (6, 8, 15)
        """
        return tuple(sorted({*self.numbers, *(layer_at(share, depth) for share in self.shares)}))


def layer_at(share: float, depth: int) -> int:
    """Return the zero-based layer at a share of a model's depth.

    Examples
    --------
    >>> layer_at(6 / 12, 30), layer_at(1.0, 12)
    (15, 11)
    """
    return min(round(share * depth), depth - 1)


class Stage(StrEnum):
    """Where on their way queries, keys and values are taken."""

    PROJECTION = "projection"
    """As the projections put them out."""
    ATTENTION = "attention"
    """As scores are computed of them: after norm and rotation of queries and keys, where a family has them."""


class Capture(StrEnum):
    """What is captured of a corpus for a statistic, by the name that claims files and markers use."""

    TARGET = "target"
    """The target of every context: (context, width)."""
    WORDS = "words"
    """Each context continued with each word, the target first: (context, word, width)."""
    WORDS_AND_WEIGHTS = "words_and_weights"
    """The same with one more word, what the weights put out alone."""
    GENERIC_REMOVED = "generic_removed"
    """The target less the mean of all other words in the same contexts: (context, width)."""
    FRESH = "fresh"
    """The target in contexts that nobody picked, and in the corpus: two of (context, width)."""
    MATCHED = "matched"
    """Target and preceding token of the balanced corpus, positions matched: two of (context, width)."""
    EVERY_LAYER = "every_layer"
    """The target at every layer of the model."""


def group_text(group: str) -> str:
    """Return a group as it is read.

    Examples
    --------
    >>> group_text("QK"), group_text("Q")
    ('Q-K', 'Q')
    """
    return "-".join(group) if len(group) == 2 else group


def group_order(group: str) -> int:
    """Return where a group stands in tables: Q, K, V, QQ, ..., KV, QKV; others after them."""
    return _ORDER.index(group) if group in _ORDER else len(_ORDER)
