"""The embedded model's byte-level BPE tokenizer, trained on the generated English."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

END_OF_TEXT = "<|endoftext|>"
EMPHASIS = 200
"""How often each word form is added to the text, so that the rare ones become single tokens too."""


def train_tokenizer(texts: Iterable[str], *, vocabulary: int) -> Tokenizer:
    """Train a tokenizer in which every word of the texts is one token, with or without its space.

    Parameters
    ----------
    texts : iterable of str
        Generated documents.
    vocabulary : int
        Upper limit of the number of tokens.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = list(texts)
    forms = sorted({form for text in texts for form in re.findall(r" ?\w+", text)})
    tokenizer.train_from_iterator([*texts, *(form for form in forms for _ in range(EMPHASIS))], trainer)
    return tokenizer
