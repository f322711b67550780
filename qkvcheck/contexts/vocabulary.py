"""Vocabulary: the words and phrases that generated contexts are made of, as a model's tokenizer splits them.

The lists stand in ``data/frames.toml``. How many tokens a phrase takes is asked of the tokenizer, never assumed, so
that a sentence can be made to put the target at a chosen position.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

from qkvcheck.contexts.context import Encoder
from qkvcheck.errors import ContextError, ModelError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

STOP = "."
_AND = " and"
_LOWERED = re.compile(
    r"(?:He|She|They|We|You|Nobody|Everyone|Someone|The|My|Our|A|His|Her|Their|Your|Two|Some|Both|Few|That|Every|One|Most|"
    r"Those|All|None|No|Students|Doctors|Children|Police|People)\b"
)
"""How a subject begins that is written small inside a sentence; names and "I" stay as they are."""
_LEADS = re.compile(r"(?:After|At|Last|In|On|By|That night|Two days|Every summer|For)\b")
"""How a subject begins that can stand only at the beginning."""
_SIMPLE = re.compile(r" [a-z]+")


@lru_cache(maxsize=1)
def word_lists() -> Mapping[str, Any]:
    """Return the word lists that come with qkvcheck."""
    lists: dict[str, Any] = tomllib.loads((resources.files("qkvcheck") / "data" / "frames.toml").read_text("utf-8"))
    return lists


def parts_before() -> dict[str, list[str]]:
    """Return what stands before the target by its part in the sentence, such as ``"possessive"``."""
    return {str(part): [str(text) for text in texts] for part, texts in word_lists()["grammatical"].items()}


@dataclass(frozen=True)
class Piece:
    """A word or phrase as it stands in a text, its leading space included, and its tokens."""

    text: str
    token_ids: tuple[int, ...]


def piece_of(text: str, encoder: Encoder) -> Piece | None:
    """Return a text with its tokens, or None where the tokenizer cannot split it."""
    try:
        ids = tuple(encoder.encode(text))
    except ModelError:  # recorded words only: this one is not among them
        return None
    return Piece(text, ids) if ids else None


@dataclass(frozen=True)
class Words:
    """Words of one token each, for texts of words in any order.

    Attributes
    ----------
    first, later : tuple of Piece
        At the beginning of a text, and after another word.
    stop : Piece or None
        What ends a text.
    """

    first: tuple[Piece, ...]
    later: tuple[Piece, ...]
    stop: Piece | None = None


@dataclass(frozen=True)
class Phrases:
    """Phrases by how many tokens they take, for sentences: subject, further subjects, verb, target, endings.

    Attributes
    ----------
    subjects, further, verbs, orders, endings : dict of int to tuple of Piece
        ``further`` are joined to a subject by "and"; ``orders`` are verbs that begin a sentence ("Give").
    stop : Piece or None
        What ends a sentence.
    """

    subjects: dict[int, tuple[Piece, ...]]
    further: dict[int, tuple[Piece, ...]]
    verbs: dict[int, tuple[Piece, ...]]
    orders: dict[int, tuple[Piece, ...]]
    endings: dict[int, tuple[Piece, ...]]
    stop: Piece | None


def plain_words() -> list[str]:
    """Return every word of the lists once, as it is written inside a sentence, without a leading space."""
    lists = word_lists()
    subjects = [word for phrases in lists["subjects"].values() for phrase in phrases for word in inside(phrase).split()]
    rest = [word.strip(f" {STOP}") for part in ("verbs", "words", "endings") for word in lists[part]["any"]]
    return list(dict.fromkeys([*subjects, *(word for text in rest for word in text.split())]))


def inside(phrase: str) -> str:
    """Return a phrase as it is written inside a sentence: "The king" becomes "the king", "Tom" stays."""
    return phrase[0].lower() + phrase[1:] if _LOWERED.match(phrase) or _LEADS.match(phrase) else phrase


@lru_cache(maxsize=32)
def words_of(encoder: Encoder, without: int, given: tuple[str, ...] | None = None) -> Words:
    """Return the words of one token each.

    Parameters
    ----------
    encoder : Encoder
        The model's tokenizer.
    without : int
        The target's id: no word is that token.
    given : tuple of str, optional
        Words to take, in this order; without it those of the lists, of which any that are several tokens are left out.

    Raises
    ------
    ContextError
        If a given word is not one token, or no word is left.
    """
    listed = [word.strip() for word in given] if given is not None else plain_words()
    first, later = [], []
    for word in listed:
        capital = word[:1].upper() + word[1:]
        starts = [p for p in (piece_of(text, encoder) for text in (capital, word)) if p and _usable(p, without)]
        within = piece_of(f" {word}", encoder)
        if given is not None and (within is None or not _usable(within, without)):
            raise ContextError(
                f"word {word!r} is not one token in {encoder.name} after a space, or is the target; "
                "give words of one token each."
            )
        first += starts[:1]
        later += [within] if within is not None and _usable(within, without) else []
    if not later:
        raise ContextError(f"{encoder.name} has none of the {len(listed)} words as one token; give other words.")
    # Where no word can begin a text as one token, it begins with a space.
    return Words(tuple(first) or tuple(later), tuple(later), None if given is not None else _stop(encoder))


def _usable(piece: Piece, without: int) -> bool:
    return len(piece.token_ids) == 1 and piece.token_ids[0] != without


def _stop(encoder: Encoder) -> Piece | None:
    stop = piece_of(STOP, encoder)
    return stop if stop is not None and len(stop.token_ids) == 1 else None


@lru_cache(maxsize=32)
def phrases_of(encoder: Encoder, without: int, *, grammatical: bool = False) -> Phrases:
    """Return the phrases that sentences are made of, by their number of tokens.

    Parameters
    ----------
    encoder : Encoder
        The model's tokenizer.
    without : int
        The target's id: no phrase holds that token.
    grammatical : bool
        Whether prepositions, conjunctions and adverbs may stand before the target too, and not verbs alone.
    """
    lists = word_lists()
    subjects = [phrase for phrases in lists["subjects"].values() for phrase in phrases]
    verbs = [*lists["verbs"]["any"], *(text for part in parts_before().values() for text in part if grammatical)]
    further = [f"{_AND} {inside(phrase)}" for phrase in subjects if not _LEADS.match(phrase)]
    endings = dict.fromkeys(f" {ending.rstrip(STOP)}" for ending in lists["endings"]["any"])

    def sized(texts: Iterable[str]) -> dict[int, tuple[Piece, ...]]:
        return _by_size(texts, encoder, without)

    return Phrases(
        subjects=sized(subjects),
        further=sized(further),
        verbs=sized(f" {verb}" for verb in verbs),
        orders=sized(lists["orders"]["any"]),
        endings=sized(endings),
        stop=_stop(encoder),
    )


def _by_size(texts: Iterable[str], encoder: Encoder, without: int) -> dict[int, tuple[Piece, ...]]:
    sizes: dict[int, list[Piece]] = {}
    for text in texts:
        piece = piece_of(text, encoder)
        if piece is not None and without not in piece.token_ids:
            sizes.setdefault(len(piece.token_ids), []).append(piece)
    return {size: tuple(pieces) for size, pieces in sorted(sizes.items())}


@lru_cache(maxsize=8)
def tokens_of(encoder: Encoder, without: int) -> tuple[int, ...]:
    """Return every plain token but the target: short English words first, so that a search ends with those."""

    def plainness(token: int) -> tuple[bool, int, str]:
        text = encoder.decode([token])
        return _SIMPLE.fullmatch(text) is None, len(text), text

    return tuple(sorted((token for token in encoder.plain_tokens if token != without), key=plainness))


def fixed_pieces(fixed: Mapping[int, str], encoder: Encoder, without: int) -> dict[int, Piece]:
    """Return what is to stand at positions counted from the target: -1 is the token before it, 1 the one after it.

    Raises
    ------
    ContextError
        If a text is not one token, or is the target, or a position is the target's own.
    """
    found = {}
    for place, text in fixed.items():
        piece = piece_of(text, encoder)
        if place == 0 or piece is None or not _usable(piece, without):
            raise ContextError(
                f"fixed position {place} is to hold {text!r}; allowed is one token other than the target (with its "
                "leading space), at a position other than 0. Check fixed."
            )
        found[place] = piece
    return found
