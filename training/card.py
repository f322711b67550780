"""Writes the embedded model's card from the measured results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CARD = """\
# The embedded model, second edition

A small, trained GPT-2 that ships with qkvcheck, so that experiments run on a real network with no
download. It is a **stand-in**: the paper speaks of GPT-2 small, and nothing measured here is a result
about GPT-2 small.

| what | value |
|---|---|
| architecture | `GPT2LMHeadModel`, 12 layers, 128 wide, 4 heads, {parameters:,} parameters, 64 positions |
| tokenizer | byte-level BPE, {vocabulary} tokens; every word of the training text is one token, and so is every word of the three corpora and of the word lists for generated contexts |
| data | English written by `training/generator.py` from `training/lexicon.toml`: pronouns as object, indirect object and possessive, after verbs, prepositions, conjunctions and adverbs; antecedents, relative and subordinate clauses, coordination |
| left out | every sentence of qkvcheck's three corpora |
| training | {steps} steps, {training_positions:,} token positions, each seen once, seed {seed} |
| held-out loss | **{held_out_loss:.3f}** nats a token (unigram {unigram_loss:.3f}, bigram {bigram_loss:.3f}, trigram {trigram_loss:.3f}) |
| pronoun gender | the antecedent is a sentence earlier: right in **{gender_correct} of {items}** held-out texts |
| head of the subject | the possessive agrees with the head, not with nearer people of another kind: **{head_correct} of {items}** |
| possessive or object | " her" after the same verbs, with a noun or with an ending: **{reading_correct} of {items}** |
| belongings | which of two things, each some person's, comes behind the possessive: **{belonging_correct} of {items}**, {belonging_words} |
| time | {minutes} minutes, CPU threads: {threads} (of a busy machine), {date}, torch {torch} |
| licence | MIT, as the rest of the project |

Chance is one half in each of the four tests, and the last token alone does not decide any.

Command: `python training/train.py --out qkvcheck/data/embedded`

The settings were chosen on losses alone, the number of steps by the time there was. Generator, lexicon, settings, seed and tests were
committed before the model was trained, and it was trained once; no statistic of a claim was computed on it, or on
any model trained for trial, before. Claims and corpora are older, and the first edition's numbers on them were
known: its text let the token before the target decide nearly everything, which this text was written to change.
The first edition and its record: `docs/embedded.md`.

The model knows some seven hundred words and no facts; it is good for measuring how a trained GPT-2
architecture keeps a token's query, key and value vectors, and for nothing else.
"""


def write_card(out: Path, results: dict[str, Any]) -> None:
    """Write README.md into the model's directory."""
    share = results["belonging_correct"] / results["items"]
    told = "which is chance: not learnt" if abs(share - 0.5) < 0.05 else "above chance" if share > 0.5 else "below chance"
    (out / "README.md").write_text(CARD.format(**results, belonging_words=told), encoding="utf-8")
