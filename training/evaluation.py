"""How well a language model of the generated English does: its loss against n-grams, and four tests of context.

Each test compares two continuations after the same last words; which one is right, earlier words say, so
that chance is one half, and what goes by the last token alone gets no further.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from generator import Writer, load_lexicon
from people import Person
from phrases import ADJECTIVES, HARDLY_ANY, OF_THEIR_OWN, PLACE_WORDS
from scene import Mood, Scene
from tokenizers import Tokenizer

EVALUATION_BATCH = 256


@dataclass(frozen=True)
class Item:
    """A text to be continued: sums of probability over `right` and over `wrong` are compared."""

    text: str
    right: tuple[str, ...]
    wrong: tuple[str, ...]


# -- loss ------------------------------------------------------------------------------------------


def held_out_loss(model: torch.nn.Module, windows: torch.Tensor) -> float:
    """Return the mean cross-entropy in nats a token over the windows, shape (window, token)."""
    total = 0.0
    model.eval()
    with torch.inference_mode():
        for batch in windows.split(EVALUATION_BATCH):
            logits = model(input_ids=batch).logits[:, :-1]
            total += torch.nn.functional.cross_entropy(
                logits.reshape(-1, logits.shape[-1]), batch[:, 1:].reshape(-1), reduction="sum"
            ).item()
    return total / windows[:, 1:].numel()


def ngram_losses(train: np.ndarray, held_out: np.ndarray, *, vocabulary: int) -> tuple[float, float, float]:
    """Cross-entropy of unigram, interpolated bigram and interpolated trigram counts, nats a token.

    The weights are the best ones on the held-out text itself, which favours the baselines.  A window's
    second token has no trigram: it takes the bigram.
    """
    unigram = np.bincount(train.ravel(), minlength=vocabulary) + 1.0
    unigram /= unigram.sum()
    after = held_out[:, 1:].ravel()
    by_two = _conditional(train[:, :-1], train[:, 1:], held_out[:, :-1], held_out[:, 1:], vocabulary)
    pairs, held_pairs = train[:, :-2] * vocabulary + train[:, 1:-1], held_out[:, :-2] * vocabulary + held_out[:, 1:-1]
    by_three = np.full(held_out[:, 1:].shape, np.nan)
    by_three[:, 1:] = _conditional(pairs, train[:, 2:], held_pairs, held_out[:, 2:], vocabulary).reshape(len(held_out), -1)
    three = np.where(np.isnan(by_three.ravel()), by_two, by_three.ravel())
    weights = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9999)
    mixed = [w * by_two + (1 - w) * unigram[after] for w in weights]
    bigram = min(float(-np.log(p).mean()) for p in mixed)
    trigram = min(float(-np.log(w * three + (1 - w) * p).mean()) for w in weights for p in mixed)
    return float(-np.log(unigram)[after].mean()), bigram, trigram


def _conditional(before: np.ndarray, after: np.ndarray, held_before: np.ndarray, held_after: np.ndarray, vocabulary: int) -> np.ndarray:
    """Relative frequency of what comes next in the training text, at each place of the held-out text."""
    contexts, context_counts = np.unique(before.ravel(), return_counts=True)
    runs, run_counts = np.unique(before.ravel() * vocabulary + after.ravel(), return_counts=True)

    def count(keys: np.ndarray, counts: np.ndarray, asked: np.ndarray) -> np.ndarray:
        place = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
        return np.where(keys[place] == asked, counts[place], 0)

    asked = held_before.ravel()
    seen = count(contexts, context_counts, asked)
    return count(runs, run_counts, asked * vocabulary + held_after.ravel()) / np.maximum(seen, 1)


# -- tests of context --------------------------------------------------------------------------------


def correct(model: torch.nn.Module, tokenizer: Tokenizer, items: list[Item]) -> int:
    """Count the items of which the right continuations are likelier, taken together, than the wrong ones."""
    model.eval()
    total = 0
    for item in items:
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([tokenizer.encode(item.text).ids])).logits[0, -1]
        right, wrong = (
            torch.logsumexp(logits[[tokenizer.token_to_id(_written(word)) for word in words]], 0)
            for words in (item.right, item.wrong)
        )
        total += bool(right > wrong)
    return total


def _written(word: str) -> str:
    return word if word == "." else f"Ġ{word}"


def gender_items(*, count: int, seed: int) -> list[Item]:
    """Pose " her" against " him" for a person named a sentence earlier; the subject in between is anybody."""
    writer = Writer(load_lexicon(), seed=seed)
    found = []
    for number in range(count):
        kind = ("female", "male")[number % 2]
        about = writer.cast.named(kind)
        scene = Scene(about, writer.scene(about).topic, introduced=True)
        first = writer.clauses.theirs(about, scene, writer.choice(writer.clauses.own), Mood())
        subject = writer.clauses.subject(scene)
        text = f"{first}. {subject.phrase} {writer.choice(writer.clauses.meet)[1]}"
        found.append(Item(text, ("her",), ("him",)) if kind == "female" else Item(text, ("him",), ("her",)))
    return found


def head_items(*, count: int, seed: int) -> list[Item]:
    """The possessive that agrees with the head of the subject, not with nearer people of another kind."""
    writer = Writer(load_lexicon(), seed=seed)
    found = []
    while len(found) < count:
        head, distractor = writer.clauses.head_and_distractor(writer.scene(writer.cast.pronoun("female")))
        others = {"female": "her", "male": "his", "plural": "their"}
        right = others.pop(head.kind)
        text = f"{head.phrase} {distractor} {writer.choice(writer.clauses.own)[1]}"
        found.append(Item(text, (right,), (writer.choice(sorted(others.values())),)))
    return found


def reading_items(*, count: int, seed: int) -> list[Item]:
    """Pose " her" as possessive against " her" as object, after the same verbs: noun, or gift, ending or stop.

    In turn: "Mary sold her" and "They sold her"; "Mary saw Tom and sold her" and "Tom saw Mary and sold her";
    "After Tom met Mary she sold her" and "After Tom met Mary he sold her".
    """
    writer = Writer(load_lexicon(), seed=seed)
    nouns, endings = _classes(writer)
    found = []
    for number in range(count):
        possessive = number % 2 == 0
        kind, form = ("female" if possessive else "male"), number // 2 % 3
        verb = writer.choice(writer.clauses.give + writer.clauses.both)[1]
        woman, man = writer.cast.gendered("female"), writer.cast.gendered("male")
        if form == 0:
            other = writer.choice((man, *(writer.cast.pronoun(k) for k in ("male", "us", "me", "plural"))))
            text = f"{woman.phrase if possessive else other.phrase} {verb} her"
        elif form == 1:
            pair = (woman, man) if possessive else (man, woman)
            text = f"{writer.clauses.meeting(*pair)} and {verb} her"
        else:
            pair = (woman, man) if writer.chance(0.5) else (man, woman)
            text = f"After {writer.cast.inside(writer.clauses.meeting(*pair))} {Person('', kind).subject.lower()} {verb} her"
        found.append(Item(text, nouns, endings) if possessive else Item(text, endings, nouns))
    return found


def _classes(writer: Writer) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """First words after " her" as possessive, and after " her" as object; words of both are left out."""
    topics, scenes = writer.topics.values(), writer.scenes
    lists = [e[4] for e in writer.clauses.give + writer.clauses.both]
    lists += [t[key] for t in topics for key in ("gifts", "places")]
    lists += [scenes[key] for key in ("places", "past_times", "future_times", "never_times")]
    behind_object = {text.split()[0] for texts in lists for text in texts} | {"any", "my", "our", "your", "his", "their", *PLACE_WORDS, "."}
    nouns = {*OF_THEIR_OWN, *ADJECTIVES, *(noun.split()[0] for t in topics for noun in t["things"])}
    nouns |= {noun.split()[0] for e in writer.clauses.own for noun in e[4]}
    shared = behind_object & (nouns | set(HARDLY_ANY))
    return tuple(sorted(nouns - shared)), tuple(sorted(behind_object - shared))


def belonging_items(*, count: int, seed: int) -> list[Item]:
    """Which of two things named earlier stands behind the possessive: the one that this person has."""
    writer = Writer(load_lexicon(), seed=seed)
    found = []
    for _ in range(count):
        people = writer.clauses.pair()
        things = writer.random.sample(writer.scenes["keepsakes"], 2)
        text = ". ".join(f"{p.phrase} had a {thing}" for p, thing in zip(people, things, strict=True))
        mine = writer.choice((0, 1))
        subject = writer.clauses.subject(Scene(people[mine], "home", introduced=True))
        verb = writer.choice(writer.clauses.both)[1]
        found.append(Item(f"{text}. {subject.phrase} {verb} {people[mine].possessive}", (things[mine],), (things[1 - mine],)))
    return found
