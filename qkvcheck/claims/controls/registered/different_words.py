"""Different words: the same frames, each with another word in the target's place, at the same positions.

It tells what repeating one token adds; it decides specificity against words.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from qkvcheck.capture import Samples, Variant
from qkvcheck.claims.controls.registry import DIFFERENT_WORDS, VariantControl, register_control
from qkvcheck.contexts import ContextSet, is_word, other_words
from qkvcheck.errors import ModelError, NotCapturedError
from qkvcheck.groups import Capture


@register_control
class DifferentWords(VariantControl):
    """Another word in each frame; words are given out in the order of the prefixes, whatever that of the contexts."""

    name = DIFFERENT_WORDS
    says = "the same frames, each with another word: what repeating one token adds"
    order = 1
    label = "other words"
    colour = "words"
    column = "words"

    def vary(self, samples: Samples) -> Samples:
        """Return the samples with other words in the target's place."""
        encoder, own = samples.hooked.encoder, samples.contexts.target
        whole = not samples.hooked.architecture.causal
        words = []
        for word in other_words():
            try:
                ids = encoder.encode(word)
            except ModelError:  # recorded words only: this one is not among them
                continue
            # A tokenizer that does not know a word gives one token for all such: no word at all.
            if len(ids) == 1 and word != own and is_word(encoder, ids[0], word):
                words.append((word, ids[0]))
        if len(words) < 2:
            raise NotCapturedError(f"{encoder.name} has no other words of one token")

        def change(contexts: ContextSet) -> ContextSet:
            order = np.argsort(np.argsort([str(c.prefix) for c in contexts.contexts], kind="stable"), kind="stable")
            changed = tuple(
                context.continued(words[number % len(words)][1], word=words[number % len(words)][0], whole=whole)
                for context, number in zip(contexts.contexts, order, strict=True)
            )
            return replace(contexts, contexts=changed)

        return samples.under(
            Variant(change, refused={Capture.WORDS: "its frames hold no one word in the target's place"})
        )
