"""The embedded model: what it was trained on, what its card says, and that it has learnt."""

from __future__ import annotations

import itertools
import json
import re
import sys

import pytest
import torch

from qkvcheck.models.loading import embedded_directory, untrained_twin
from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "training"))
pytest.importorskip("tomllib", reason="training needs Python 3.11")

import generator
from evaluation import agreement, held_out_loss
from train import AGREEMENT_ITEMS, HELD_OUT_WINDOWS, SEED, corpus_sentences, windows

pytestmark = pytest.mark.needs_time

CARD = json.loads((embedded_directory() / "training.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def sample_texts() -> list[str]:
    return list(itertools.islice(generator.documents(seed=SEED, forbidden=corpus_sentences()), 3000))


def test_generator_repeats_itself(sample_texts):
    again = list(itertools.islice(generator.documents(seed=SEED, forbidden=corpus_sentences()), 50))
    assert again == sample_texts[:50]
    other = list(itertools.islice(generator.documents(seed=SEED + 1, forbidden=corpus_sentences()), 50))
    assert again != other


def test_no_corpus_sentence_in_the_training_text(sample_texts):
    corpus = corpus_sentences()
    assert len(corpus) == 108
    assert not [text for text in sample_texts if any(sentence in text for sentence in corpus)]


def test_no_sentence_of_the_later_corpus_either(sample_texts, corpus_records):
    sentences = [record["text"] for record in corpus_records["grammatical"]]
    assert not [text for text in sample_texts if any(sentence in text for sentence in sentences)]


def test_corpus_words_and_control_words_are_single_tokens(embedded, corpus_records):
    texts = [r["text"] for r in corpus_records["replication"] + corpus_records["balanced"]]
    for text in texts:
        pieces = re.findall(r" ?[A-Za-z]+| ?[^\sA-Za-z]", text)
        assert len(embedded.encoder.encode(text)) == len(pieces)
    for pronoun in (" her", " him", " me", " you", " us", " them", " it", " she", " he", " they", " his"):
        assert len(embedded.encoder.encode(pronoun)) == 1


def test_files_are_small_and_hold_no_pickle():
    files = list(embedded_directory().iterdir())
    assert sum(path.stat().st_size for path in files) <= 12 * 2**20
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".md"}


def test_card_says_what_training_measured():
    text = (embedded_directory() / "README.md").read_text("utf-8")
    for value in (f"{CARD['held_out_loss']:.3f}", f"{CARD['unigram_loss']:.3f}", f"{CARD['bigram_loss']:.3f}",
                  f"{CARD['agreement_correct']} of {CARD['agreement_items']}", str(CARD["seed"])):  # fmt: skip
        assert value in text
    assert CARD["held_out_loss"] < CARD["bigram_loss"] - 0.5


@pytest.mark.long
def test_figures_of_the_card_hold(embedded):
    """Loss and pronoun agreement of the shipped weights, on the text that training kept apart."""
    tokenizer = embedded.encoder._tokenizer.backend_tokenizer
    held_out = windows(tokenizer, seed=SEED + 2, count=HELD_OUT_WINDOWS)
    assert held_out_loss(embedded.model, torch.from_numpy(held_out)) == pytest.approx(CARD["held_out_loss"], abs=1e-3)
    agreed = agreement(embedded.model, tokenizer, items=AGREEMENT_ITEMS, seed=SEED + 3)
    assert (agreed.correct, agreed.items) == (CARD["agreement_correct"], CARD["agreement_items"])


def test_an_untrained_model_would_fail_here(embedded):
    tokenizer = embedded.encoder._tokenizer.backend_tokenizer
    twin = untrained_twin(embedded).model
    assert 60 <= agreement(twin, tokenizer, items=200, seed=SEED + 3).correct <= 140
