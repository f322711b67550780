"""Targets: one token or several, found in a sentence by their ids."""

from __future__ import annotations

import pytest

from qkvcheck.contexts.context import Context
from qkvcheck.contexts.targets import make_context, places_of, resolve_target, resolve_tokens
from qkvcheck.errors import ContextError


class Words:
    """One token a word, by the word's length; enough for contexts."""

    name = "words"

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}

    def encode(self, text: str) -> list[int]:
        pieces = [piece if n == 0 else f" {piece}" for n, piece in enumerate(text.split(" "))]
        return [self.ids.setdefault(piece, len(self.ids)) for piece in pieces if piece]

    def decode(self, token_ids) -> str:
        names = {number: word for word, number in self.ids.items()}
        return "".join(names[i] for i in token_ids)


@pytest.fixture
def words() -> Words:
    encoder = Words()
    encoder.ids[" her"] = 0
    encoder.ids["her"] = 1
    return encoder


def put(words: Words, text: str, **options) -> Context:
    return make_context(text, words, target=" her", target_id=0, **options)


def test_target_is_found_by_its_token_id(words):
    context = put(words, "We saw her today")
    assert context.target_index == 2
    assert context.token_ids[2] == 0
    assert context.prefix == context.token_ids[:2]


def test_the_same_word_at_the_start_is_another_token(words):
    assert put(words, "her friend saw her there").target_index == 3


def test_missing_target_names_text_and_remedy(words):
    with pytest.raises(
        ContextError, match=r"line 3: target ' her' \(token 0\) does not occur in 'We saw him'.*--qkv-target"
    ):
        put(words, "We saw him", where="line 3")


def test_second_target_is_refused_unless_one_is_chosen(words):
    text = "We gave her all her books"
    with pytest.raises(ContextError, match="occurs 2 times .* exactly once"):
        put(words, text)
    assert put(words, text, occurrence=1).target_index == 2
    assert put(words, text, occurrence=2).target_index == 4
    with pytest.raises(ContextError, match="allowed is 1 to 2"):
        put(words, text, occurrence=3)


def test_target_of_two_tokens_is_refused(embedded):
    with pytest.raises(ContextError, match=r"target ' her him' is 2 tokens .*\(' her', ' him'\).*exactly one token"):
        resolve_target(" her him", embedded.encoder)


def test_target_can_be_given_as_an_id(embedded):
    text, number = resolve_target(" her", embedded.encoder)
    assert (text, number) == (" her", 268)
    assert resolve_target(268, embedded.encoder) == (" her", 268)


def test_target_that_is_no_token(embedded):
    with pytest.raises(ContextError, match="there is no token 99999 in embedded; choose another with --qkv-target"):
        resolve_target(99_999, embedded.encoder)
    with pytest.raises(ContextError, match=r"target '' is 0 tokens in embedded \(nothing\).*--qkv-target\.$"):
        resolve_target("", embedded.encoder)


# A target of several tokens -------------------------------------------------------------------------


def two(words: Words, text: str, **options) -> Context:
    words.ids.setdefault(" again", 2)
    return make_context(text, words, target=" her again", target_id=2, earlier=(0,), **options)


def test_a_target_of_several_tokens_is_found_as_a_sequence(words):
    context = two(words, "We again saw her again today")
    assert (context.target_index, context.target_start, context.target_length) == (4, 3, 2)
    assert context.prefix == context.token_ids[:3]
    with pytest.raises(ContextError, match=r"target ' her again' \(tokens 0, 2\) does not occur in 'again We saw her'"):
        two(words, "again We saw her")
    text = "We saw her again and her again"
    with pytest.raises(ContextError, match="occurs 2 times"):
        two(words, text)
    assert two(words, text, occurrence=2).target_index == 6


def test_sequences_are_found_where_they_end():
    for ids in ([1, 2, 1, 2, 2], [1, 1, 1], [], [2], [1]):
        for wanted in ([1], [1, 2], [1, 1], [2, 2]):
            slow = [k for k in range(len(ids)) if k >= len(wanted) - 1 and ids[k - len(wanted) + 1 : k + 1] == wanted]
            assert places_of(wanted, ids) == slow


def test_tokens_of_a_target(embedded):
    assert resolve_tokens(" her", embedded.encoder) == (" her", (268,))
    assert resolve_tokens(268, embedded.encoder) == (" her", (268,))
    text, ids = resolve_tokens(" unbelievably", embedded.encoder)
    assert (text, list(ids)) == (" unbelievably", embedded.encoder.encode(" unbelievably"))
    assert len(ids) > 1
    with pytest.raises(ContextError, match=r"0 tokens in embedded \(nothing\); it must be one at least"):
        resolve_tokens("", embedded.encoder)
