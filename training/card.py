"""Writes the embedded model's card from the measured results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CARD = """\
# The embedded model

A small, trained GPT-2 that ships with qkvcheck, so that experiments run on a real network with no
download. It is a **stand-in**: the paper speaks of GPT-2 small, and nothing measured here is a result
about GPT-2 small.

| what | value |
|---|---|
| architecture | `GPT2LMHeadModel`, 12 layers, 128 wide, 4 heads, {parameters:,} parameters, 64 positions |
| tokenizer | byte-level BPE, {vocabulary} tokens; every word of the training text is one token |
| data | English written by `training/generator.py` from `training/lexicon.toml`: people, places, giving, telling, meeting; pronouns refer back |
| left out | every sentence of qkvcheck's two corpora |
| training | {steps} steps, {training_positions:,} token positions, each seen once, seed {seed} |
| held-out loss | **{held_out_loss:.3f}** nats a token (unigram {unigram_loss:.3f}, bigram {bigram_loss:.3f}) |
| pronoun gender | right in **{agreement_correct} of {agreement_items}** held-out sentences (chance: one half) |
| time | {minutes} minutes on 2 CPU cores, {date}, torch {torch} |
| licence | MIT, as the rest of the project |

Command: `python training/train.py --out qkvcheck/data/embedded`

The settings were chosen on held-out loss and pronoun agreement alone. The claims, the corpora, the
generator and the seed were committed before the model was trained, and it was trained once.
The model knows some five hundred words and no facts; it is good for measuring how a trained GPT-2
architecture keeps a token's query, key and value vectors, and for nothing else.
"""


def write_card(out: Path, results: dict[str, Any]) -> None:
    """Write README.md into the model's directory."""
    (out / "README.md").write_text(CARD.format(**results), encoding="utf-8")
