from .context import (
    LEAST_FIRST_WORDS,
    Context,
    ContextSet,
    Encoder,
    audit,
    clusters_of,
    is_word,
    match_positions,
)
from .corpora import Corpus, encode_corpus, is_lecture, read_corpus
from .corpus_files import hash_lines
from .sampling import draw_contexts, other_words
from .targets import make_context, places_of, resolve_target, resolve_tokens
from .vocabulary import Phrases, Piece, Words, fixed_pieces, phrases_of, tokens_of, words_of

__all__ = [
    "LEAST_FIRST_WORDS",
    "Context",
    "ContextSet",
    "Corpus",
    "Encoder",
    "Phrases",
    "Piece",
    "Words",
    "audit",
    "clusters_of",
    "draw_contexts",
    "encode_corpus",
    "fixed_pieces",
    "hash_lines",
    "is_lecture",
    "is_word",
    "make_context",
    "match_positions",
    "other_words",
    "phrases_of",
    "places_of",
    "read_corpus",
    "resolve_target",
    "resolve_tokens",
    "tokens_of",
    "words_of",
]
