"""Which words stand in the target's place: never the target itself. No model is needed for that."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from qkvcheck.capture.samples import Plan, Samples
from qkvcheck.claims.controls.registered import different_words, other_token
from qkvcheck.contexts.context import Context, ContextSet

WORDS = (" coat", " her", " boat", " him", " goat", " them")


class Letters:
    """A tokenizer with a number for each of some words."""

    name = "made up"

    def encode(self, text: str) -> list[int]:
        return [WORDS.index(text)] if text in WORDS else [90, 91]

    def decode(self, ids) -> str:
        return WORDS[ids[0]]


def contexts_for(target: str) -> ContextSet:
    number = WORDS.index(target)
    rows = tuple(Context(f"{place}{target}", (10 + place, number), 1) for place in range(12))
    return ContextSet(rows, target, number, "made up", "0" * 64)


def samples_for(target: str) -> Samples:
    hooked = SimpleNamespace(encoder=Letters(), architecture=SimpleNamespace(causal=True))
    return Samples(hooked, contexts_for(target), Plan((6,), {}))


def put(varied: Samples) -> list[int]:
    """Return the tokens that a control puts in the target's place."""
    changed = varied._variant.change(varied.contexts)
    assert [context.prefix for context in changed.contexts] == [context.prefix for context in varied.contexts.contexts]
    return [context.token_ids[context.target_index] for context in changed.contexts]


@pytest.mark.parametrize("target", WORDS)
def test_the_target_is_none_of_the_other_words(monkeypatch, target):
    monkeypatch.setattr(different_words, "other_words", lambda: WORDS)
    found = put(different_words.DifferentWords().vary(samples_for(target)))
    assert WORDS.index(target) not in found
    assert set(found) == set(range(len(WORDS))) - {WORDS.index(target)}


@pytest.mark.parametrize(
    ("target", "other"), [(" him", " her"), (" her", " him"), (" them", " him"), (" coat", " him")]
)
def test_another_pronoun_is_not_the_target(target, other):
    assert set(put(other_token.OtherToken().vary(samples_for(target)))) == {WORDS.index(other)}
