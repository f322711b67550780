"""Strategies: hypothesis strategies for contexts around a target, that shrink to short, simple, readable sentences.

They search: hypothesis's draws are adaptive, and how many of them break a claim is no rate. Rates come from
`qkvcheck.contexts`. Every context is *canonical*: decoding its tokens and encoding the text gives the same tokens, so
that a model could have met it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, TypeVar, cast

from hypothesis import settings
from hypothesis import strategies as st

from qkvcheck.contexts import (
    Context,
    ContextSet,
    Encoder,
    Phrases,
    Piece,
    Words,
    fixed_pieces,
    hash_lines,
    make_context,
    phrases_of,
    places_of,
    resolve_tokens,
    tokens_of,
    words_of,
)
from qkvcheck.errors import ContextError, ModelError
from qkvcheck.models import PretrainedEncoder

SENTENCES, GRAMMATICAL, WORDS, TOKENS = "sentences", "grammatical", "words", "tokens"
WORDINGS = (SENTENCES, GRAMMATICAL, WORDS, TOKENS)
PROFILE = "ci"
_WAYS = 64
NO_TOKEN = -1
"""What no word may be, where the target is several tokens: a word of one can't be the target."""

Draw = Callable[[st.SearchStrategy[Any]], Any]
Item = TypeVar("Item")
Count = int | tuple[int, int]


def register_profile(name: str = PROFILE) -> None:
    """Register a settings profile for continuous integration: the same examples in every run, and no deadline.

    It replaces hypothesis's own profile ``ci``, without keeping any health check silent. Call it in ``conftest.py`` and
    choose it with ``--hypothesis-profile``; hypothesis chooses ``ci`` by itself where it sees that it runs in CI.
    """
    # Every setting by name: what is left out is taken from the profile in force, which in CI is hypothesis's own `ci`.
    settings.register_profile(
        name, derandomize=True, deadline=None, database=None, print_blob=True, suppress_health_check=()
    )


def contexts(
    tokenizer: Any,
    target: str | int,
    *,
    before: Count = (1, 12),
    after: Count = (0, 8),
    words: str | Sequence[str] = SENTENCES,
    fixed: Mapping[int, str] | None = None,
) -> st.SearchStrategy[Context]:
    """Return a strategy for contexts that hold the target exactly once.

    Parameters
    ----------
    tokenizer : Encoder or transformers.PreTrainedTokenizerBase
        The model's tokenizer.
    target : str or int
        Target token: its text, such as ``" her"``, or its id. A text may be several tokens.
    before, after : int or (int, int)
        How many tokens stand left and right of it: a number, or the least and the most.
    words : {"sentences", "grammatical", "words", "tokens"} or sequence of str
        ``"sentences"``: subject, verb, target, ending; a length that no sentence has is filled with words.
        ``"grammatical"``: the same, with prepositions, conjunctions and adverbs before the target too. ``"words"``:
        the same words in any order. ``"tokens"``: any tokens of the vocabulary. A sequence: these words, each one token
        after a space, in any order.
    fixed : mapping of int to str, optional
        Tokens that stay, by position from the target: ``{-1: " gave"}`` holds the token before it. Around them stand
        words in any order, or tokens.

    Raises
    ------
    ContextError
        If the target is no token, a word is not one, or the numbers make no sense.
    """
    encoder = encoder_of(tokenizer)
    text, ids = resolve_tokens(target, encoder)
    target_id = ids[0] if len(ids) == 1 else NO_TOKEN
    pinned = fixed_pieces(fixed or {}, encoder, target_id)
    left, right = _range("before", before), _range("after", after)
    for place in pinned:
        count, name = (left[0], "before") if place < 0 else (right[0], "after")
        if abs(place) > count:
            raise ContextError(
                f"fixed position {place} does not exist in every context: {name} begins at {count}; let it begin at "
                f"{abs(place)} or more."
            )
    writer = _writer(encoder, target_id, words if isinstance(words, str) else tuple(words), loose=bool(pinned))
    frame = _Frame(encoder, Piece(text, ids), left, right, pinned)
    # Nearly every draw is canonical; tokens in any order sometimes can't be a tokenizer's own.
    drawn = _context(frame, writer).filter(lambda context: context is not None)
    return cast("st.SearchStrategy[Context]", drawn)


def context_sets(
    tokenizer: Any,
    target: str | int,
    *,
    size: Count = (20, 54),
    before: Count = (1, 12),
    after: Count = (0, 8),
    words: str | Sequence[str] = SENTENCES,
    fixed: Mapping[int, str] | None = None,
) -> st.SearchStrategy[ContextSet]:
    """Return a strategy for sets of contexts that differ left of the target.

    Parameters
    ----------
    tokenizer, target, before, after, words, fixed
        As for `contexts`.
    size : int or (int, int)
        How many contexts: a number, or the least and the most. Fewer than 20 are never judged.

    Raises
    ------
    ContextError
        As for `contexts`.
    """
    encoder = encoder_of(tokenizer)
    text, (*earlier, target_id) = resolve_tokens(target, encoder)
    least, most = _range("size", size)
    each = contexts(encoder, target, before=before, after=after, words=words, fixed=fixed)
    return st.lists(each, min_size=max(1, least), max_size=max(1, most), unique_by=lambda c: c.prefix).map(
        lambda rows: context_set(rows, target=text, target_id=target_id, earlier=tuple(earlier))
    )


def context_of(text: str, tokenizer: Any, target: str | int) -> Context:
    """Return the context that a sentence makes, as an ``@example`` needs it.

    Parameters
    ----------
    text : str
        Holds the target exactly once.
    tokenizer, target
        As for `contexts`.

    Raises
    ------
    ContextError
        If it does not.
    """
    encoder = encoder_of(tokenizer)
    word, (*earlier, target_id) = resolve_tokens(target, encoder)
    return make_context(text, encoder, target=word, target_id=target_id, earlier=tuple(earlier))


def context_set(
    rows: Sequence[Context], *, target: str, target_id: int, earlier: tuple[int, ...] = (), name: str = "generated"
) -> ContextSet:
    """Return contexts as a set that can be captured."""
    texts = [row.text for row in rows]
    return ContextSet(tuple(rows), target, target_id, name, hash_lines(texts), earlier=earlier)


@lru_cache(maxsize=16)
def _wrapped(tokenizer: Any) -> PretrainedEncoder:
    return PretrainedEncoder(tokenizer, name=str(getattr(tokenizer, "name_or_path", "") or "the tokenizer"))


def encoder_of(tokenizer: Any) -> Encoder:
    """Return a tokenizer as contexts need it; one of transformers is wrapped."""
    if hasattr(tokenizer, "plain_tokens"):
        return cast("Encoder", tokenizer)
    if not (callable(tokenizer) and hasattr(tokenizer, "get_vocab")):
        raise ContextError(
            f"{type(tokenizer).__name__} is no tokenizer; give the encoder of a model from qkvcheck.load_model, or a "
            "tokenizer of transformers."
        )
    return _wrapped(tokenizer)


def _range(name: str, given: Count) -> tuple[int, int]:
    least, most = (given, given) if isinstance(given, int) else given
    if not 0 <= least <= most:
        raise ContextError(f"{name} is {given!r}; give a number from 0, or the least and the most.")
    return least, most


# Drawing ------------------------------------------------------------------------------------------


def pick(draw: Draw, items: Sequence[Item]) -> Item:
    """Draw one item, each about equally likely; it shrinks towards the first.

    Hypothesis puts numbers that it finds in the source of loaded modules among its integers, where they fit and are at
    least 100. Small steps keep the draws of a seed the same whatever else is loaded.
    """
    low, high = 0, len(items)
    while high - low > 1:
        size = high - low
        ways = min(_WAYS, size)
        way = draw(st.integers(0, ways - 1))
        low, high = low + way * size // ways, low + (way + 1) * size // ways
    return items[low]


@dataclass(frozen=True)
class _Frame:
    encoder: Encoder
    target: Piece
    before: tuple[int, int]
    after: tuple[int, int]
    pinned: Mapping[int, Piece]


@st.composite
def _context(draw: Draw, frame: _Frame, writer: _Writer) -> Context | None:
    """Draw a context; None if its tokens are not what the tokenizer makes of its text."""
    lengths = range(frame.before[0], frame.before[1] + 1), range(frame.after[0], frame.after[1] + 1)
    count, following = (pick(draw, length) for length in lengths)
    left, right = writer.left(draw, count), writer.right(draw, following)
    for place, piece in frame.pinned.items():
        (left if place < 0 else right)[place if place < 0 else place - 1] = piece
    ids = tuple(token for piece in (*left, frame.target, *right) for token in piece.token_ids)
    return _canonical(frame, ids, "".join(piece.text for piece in (*left, frame.target, *right)))


def _canonical(frame: _Frame, ids: tuple[int, ...], text: str) -> Context | None:
    encoder, target = frame.encoder, frame.target.token_ids
    try:
        # A tokenizer may split what was put together otherwise; then its own tokens count.
        ids = tuple(encoder.encode(text))
    except ModelError:
        return None
    found = places_of(target, ids)
    if len(found) != 1 or encoder.decode(ids) != text:
        return None
    context = Context(text, ids, found[0], target_length=len(target))
    start, index = context.target_start, context.target_index
    fits = frame.before[0] <= start <= frame.before[1] and frame.after[0] <= len(ids) - index - 1 <= frame.after[1]
    pinned = ((place + (start if place < 0 else index), piece) for place, piece in frame.pinned.items())
    kept = all(0 <= at < len(ids) and ids[at] in piece.token_ids for at, piece in pinned)
    return context if fits and kept else None


class _Writer(Protocol):
    """Draws what stands left and right of the target, in a given number of tokens."""

    def left(self, draw: Draw, count: int) -> list[Piece]: ...

    def right(self, draw: Draw, count: int) -> list[Piece]: ...


@lru_cache(maxsize=64)
def _writer(encoder: Encoder, target_id: int, words: str | tuple[str, ...], *, loose: bool) -> _Writer:
    if words == TOKENS:
        return _TokenWriter(encoder, tokens_of(encoder, target_id))
    if isinstance(words, tuple):
        return _WordWriter(words_of(encoder, target_id, words))
    if words not in WORDINGS:
        raise ContextError(f"words {words!r} is not known; allowed: {', '.join(WORDINGS)}, or a list of words.")
    plain = _WordWriter(words_of(encoder, target_id))
    if words == WORDS or loose:
        return plain
    return _SentenceWriter(phrases_of(encoder, target_id, grammatical=words == GRAMMATICAL), plain)


class _TokenWriter:
    def __init__(self, encoder: Encoder, tokens: Sequence[int]) -> None:
        self._encoder = encoder
        self._tokens = tokens

    def left(self, draw: Draw, count: int) -> list[Piece]:
        drawn = [pick(draw, self._tokens) for _ in range(count)]
        return [Piece(self._encoder.decode([token]), (token,)) for token in drawn]

    right = left


class _WordWriter:
    def __init__(self, words: Words) -> None:
        self._words = words

    def left(self, draw: Draw, count: int) -> list[Piece]:
        return [pick(draw, self._words.later if place else self._words.first) for place in range(count)]

    def right(self, draw: Draw, count: int) -> list[Piece]:
        stop = [self._words.stop] if self._words.stop is not None and count else []
        return [*(pick(draw, self._words.later) for _ in range(count - len(stop))), *stop]


class _SentenceWriter:
    """Subject, "and" further subjects, a verb before the target; endings and a full stop after it."""

    def __init__(self, phrases: Phrases, plain: _WordWriter) -> None:
        self._phrases = phrases
        self._plain = plain

    def left(self, draw: Draw, count: int) -> list[Piece]:
        phrases = self._phrases
        ways = [(size, verbs) for size, verbs in phrases.verbs.items() if self._subjects(count - size)]
        if ways:
            size, verbs = pick(draw, ways)
            return [*self._subject(draw, count - size), pick(draw, verbs)]
        if count in phrases.orders:
            return [pick(draw, phrases.orders[count])]
        return self._plain.left(draw, count)

    def right(self, draw: Draw, count: int) -> list[Piece]:
        stop = [self._phrases.stop] if self._phrases.stop is not None and count else []
        rest, drawn = count - len(stop), []
        while rest:
            sizes = [size for size in self._phrases.endings if size <= rest]
            if not sizes:
                return self._plain.right(draw, count)
            size = pick(draw, sizes)
            drawn.append(pick(draw, self._phrases.endings[size]))
            rest -= size
        return [*drawn, *stop]

    def _subject(self, draw: Draw, count: int) -> list[Piece]:
        size = pick(draw, self._subjects(count))
        drawn = [pick(draw, self._phrases.subjects[size])]
        rest = count - size
        while rest:
            # The longest first: a sentence shrinks to few subjects, not to many short ones.
            sizes = [s for s in reversed(self._phrases.further) if s <= rest and self._joined(rest - s)]
            size = pick(draw, sizes)
            drawn.append(pick(draw, self._phrases.further[size]))
            rest -= size
        return drawn

    def _subjects(self, count: int) -> list[int]:
        """Return the sizes that a first subject can have if all subjects take `count` tokens, the longest first."""
        return [size for size in reversed(self._phrases.subjects) if size <= count and self._joined(count - size)]

    def _joined(self, count: int) -> bool:
        """Tell whether further subjects can take exactly `count` tokens."""
        return count == 0 or any(size <= count and self._joined(count - size) for size in self._phrases.further)
