"""How well a language model of the generated English does: loss, n-gram baselines, pronoun agreement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from generator import Writer, load_lexicon
from tokenizers import Tokenizer

EVALUATION_BATCH = 256


@dataclass(frozen=True)
class Agreement:
    """Pronoun gender agreement: how often the right one of " her" and " him" is likelier."""

    correct: int
    items: int


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


def unigram_loss(train: np.ndarray, held_out: np.ndarray, *, vocabulary: int) -> float:
    """Cross-entropy of add-one unigram counts of the training tokens, nats a token."""
    counts = np.bincount(train.ravel(), minlength=vocabulary) + 1.0
    return float(-np.log(counts / counts.sum())[held_out[:, 1:]].mean())


def bigram_loss(train: np.ndarray, held_out: np.ndarray, *, vocabulary: int) -> float:
    """Cross-entropy of interpolated bigram counts, nats a token.

    The weight of the bigram is the best one on the held-out text itself, which favours the baseline.
    """
    unigram = np.bincount(train.ravel(), minlength=vocabulary) + 1.0
    unigram /= unigram.sum()
    pairs = np.zeros((vocabulary, vocabulary), dtype=np.float64)
    np.add.at(pairs, (train[:, :-1].ravel(), train[:, 1:].ravel()), 1.0)
    before, after = held_out[:, :-1].ravel(), held_out[:, 1:].ravel()
    conditional = pairs[before, after] / np.maximum(pairs.sum(axis=1), 1.0)[before]
    weights = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9999)
    return min(float(-np.log(w * conditional + (1 - w) * unigram[after]).mean()) for w in weights)


def agreement(model: torch.nn.Module, tokenizer: Tokenizer, *, items: int, seed: int) -> Agreement:
    """Count right pronouns after a verb whose object is a person introduced a sentence earlier.

    Half of the antecedents are female.  The subject in between is anybody, so that the nearest noun is
    no help: chance is one half.
    """
    writer = Writer(load_lexicon(), seed=seed)
    ids = {kind: tokenizer.token_to_id(word) for kind, word in (("female", "Ġher"), ("male", "Ġhim"))}
    correct = 0
    model.eval()
    for number in range(items):
        kind = ("female", "male")[number % 2]
        about = writer.named(kind)
        verb = writer.random.choice(writer.give + writer.meet)[1]
        text = f"{writer.own_clause(about, by_name=True)}. {writer.other_than(about).phrase} {verb}"
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([tokenizer.encode(text).ids])).logits[0, -1]
        wrong = "male" if kind == "female" else "female"
        correct += bool(logits[ids[kind]] > logits[ids[wrong]])
    return Agreement(correct, items)
