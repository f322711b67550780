"""The embedded model: what it was trained on, what its card says, and that it has learnt."""

from __future__ import annotations

import itertools
import json
import re
import runpy
import sys
from collections import defaultdict

import numpy as np
import pytest
import torch

from qkvcheck.contexts.vocabulary import parts_before, word_lists
from qkvcheck.models.loading import embedded_directory, untrained_twin
from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "training"))
pytest.importorskip("tomllib", reason="training needs Python 3.11")

import evaluation
import generator
from train import HELD_OUT_WINDOWS, SEED, TEST_ITEMS, corpus_sentences, windows

pytestmark = pytest.mark.needs_time

CARD = json.loads((embedded_directory() / "training.json").read_text("utf-8"))
TESTS = {
    "gender": evaluation.gender_items,
    "head": evaluation.head_items,
    "reading": evaluation.reading_items,
    "belonging": evaluation.belonging_items,
}
FEMALE = generator.load_lexicon()["people"]["female_names"]
MALE = generator.load_lexicon()["people"]["male_names"]


@pytest.fixture(scope="module")
def sample_texts() -> list[str]:
    return list(itertools.islice(generator.documents(seed=SEED, forbidden=corpus_sentences()), 40_000))


def forms(text: str) -> list[str]:
    """Words as they stand in a text, each with the space before it."""
    return re.findall(r" ?[A-Za-z]+", text)


@pytest.fixture(scope="module")
def asked_forms(corpus_records) -> set[str]:
    """Every word of the corpora and of the lists for generated contexts, as it stands there."""
    lists, found = word_lists(), set()
    for records in corpus_records.values():
        found.update(form for record in records for form in forms(record["text"]))
    for part, texts in ((part, texts) for part, kinds in lists.items() for texts in kinds.values()):
        space = "" if part in ("subjects", "orders", "words") else " "
        found.update(form for text in texts for form in forms(space + text))
    recorded = json.loads((ROOT / "qkvcheck" / "data" / "gpt2_words.json").read_text("utf-8"))
    found.update(word for word in recorded if re.fullmatch(r" ?[A-Za-z]+", word))
    return found


def test_generator_repeats_itself(sample_texts):
    again = list(itertools.islice(generator.documents(seed=SEED, forbidden=corpus_sentences()), 50))
    assert again == sample_texts[:50]
    other = list(itertools.islice(generator.documents(seed=SEED + 1, forbidden=corpus_sentences()), 50))
    assert again != other


def test_no_corpus_sentence_in_the_training_text(sample_texts, corpus_records):
    corpus = {record["text"].lower() for records in corpus_records.values() for record in records}
    assert len(corpus) == 162
    assert {sentence.lower() for sentence in corpus_sentences()} == corpus
    assert not [text for text in sample_texts[:8000] if any(sentence in text.lower() for sentence in corpus)]


def test_a_forbidden_sentence_would_be_left_out(sample_texts):
    sentence = next(s for text in sample_texts for s in re.findall(r"[^.?]+[.?]", text)).strip()
    assert any(sentence in text for text in sample_texts)
    kept = itertools.islice(generator.documents(seed=SEED, forbidden=frozenset({sentence})), len(sample_texts) // 10)
    assert not [text for text in kept if sentence.lower() in text.lower()]


def test_every_word_that_is_asked_about_occurs_in_training(sample_texts, asked_forms):
    counts: dict[str, int] = defaultdict(int)
    for text in sample_texts:
        for form in forms(text):
            counts[form] += 1
    assert len(asked_forms) > 500
    assert not {form: counts[form] for form in asked_forms if counts[form] < 5}


def test_pronouns_stand_in_every_place_of_the_grammatical_corpus(sample_texts):
    """After each phrase that stands before the target there, some pronoun comes in the training text."""
    text = "\n".join(sample_texts)
    pronouns = "her|him|his|them|their|me|my|us|our|you|your"
    missing = [b for part in parts_before().values() for b in part if not re.search(rf" {b} (?:{pronouns})\b", text)]
    assert not missing


def test_the_same_verb_takes_both_readings_and_earlier_words_decide(sample_texts):
    """In "X saw Y and sold her ..." a noun follows " her" if X is a woman, and none if X is a man."""
    nouns, endings = evaluation._classes(generator.Writer(generator.load_lexicon(), seed=0))
    assert not set(nouns) & set(endings)
    seen: dict[str, set[tuple[str, str]]] = defaultdict(set)
    pattern = rf"\b({'|'.join(FEMALE + MALE)}) \w+ ({'|'.join(FEMALE + MALE)}) and (\w+) her(\.| \w+)"
    for text in sample_texts:
        for first, second, verb, after in re.findall(pattern, text):
            assert (first in FEMALE) != (second in FEMALE)
            kind = "noun" if after.strip() in nouns else "ending" if after.strip() in endings else "either"
            seen[verb].add((("female" if first in FEMALE else "male"), kind))
    everything = set().union(*seen.values())
    assert ("female", "noun") in everything
    assert ("male", "ending") in everything
    assert not {("female", "ending"), ("male", "noun")} & everything
    assert sum({("female", "noun"), ("male", "ending")} <= kinds for kinds in seen.values()) >= 20


def test_possessives_agree_with_the_head_and_not_with_the_nearest_noun(sample_texts):
    people = generator.load_lexicon()["people"]
    owners = {"her": people["female_nouns"], "his": people["male_nouns"], "their": people["plural_nouns"]}
    other = "|".join(FEMALE + MALE + ["Mom", "Dad"])
    found = []
    for owner, nouns in owners.items():
        pattern = rf"\b(?:{'|'.join(nouns)}) who \w+ (?:{other}) \w+ (her|his|their) "
        found += [(owner, used) for text in sample_texts for used in re.findall(pattern, text)]
    assert len(found) > 200
    assert {used for _, used in found} == set(owners)
    assert all(owner == used for owner, used in found)


@pytest.mark.parametrize("name", TESTS)
def test_the_last_word_alone_decides_no_test_of_context(name):
    """Whoever knows, for each last word, which answer comes oftener gets little further than chance."""
    items = TESTS[name](count=600, seed=1)
    by_last: dict[str, dict[tuple[str, ...], int]] = defaultdict(lambda: defaultdict(int))
    for item in items:
        assert not set(item.right) & set(item.wrong)
        by_last[item.text.split()[-1]][item.right] += 1
    best = sum(max(counts.values()) for counts in by_last.values())
    spread = 600 / len(by_last)
    assert best <= (400 if spread > 20 else 480)


def test_ngram_losses_are_what_their_definitions_say():
    rng = np.random.default_rng(0)
    train, held, size = rng.integers(0, 4, (40, 7)), rng.integers(0, 4, (9, 7)), 4

    def conditional(before: tuple[int, ...], after: int) -> float:
        k = len(before)
        places = [(row, j) for row in train.tolist() for j in range(k, 7) if tuple(row[j - k : j]) == before]
        return sum(row[j] == after for row, j in places) / max(1, len(places))

    unigram = [(sum(row.count(t) for row in train.tolist()) + 1) / (train.size + size) for t in range(size)]
    steps = [(row, j) for row in held.tolist() for j in range(1, 7)]
    weights = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9999)
    two = [[w * conditional((r[j - 1],), r[j]) + (1 - w) * unigram[r[j]] for r, j in steps] for w in weights]
    three = [conditional(tuple(r[j - 2 : j]) if j > 1 else (r[j - 1],), r[j]) for r, j in steps]
    mixed = [[w * t + (1 - w) * p for t, p in zip(three, ps, strict=True)] for w in weights for ps in two]
    found = evaluation.ngram_losses(train, held, vocabulary=size)
    assert found[0] == pytest.approx(-np.mean([np.log(unigram[r[j]]) for r, j in steps]), rel=1e-12)
    assert found[1] == pytest.approx(min(-np.mean(np.log(p)) for p in two), rel=1e-12)
    assert found[2] == pytest.approx(min(-np.mean(np.log(p)) for p in mixed), rel=1e-12)


def test_every_word_that_is_asked_about_is_one_token(embedded, asked_forms, corpus_records):
    split = {form for form in asked_forms if len(embedded.encoder.encode(form)) != 1}
    assert not split
    for record in (record for records in corpus_records.values() for record in records):
        pieces = re.findall(r" ?[A-Za-z]+| ?[^\sA-Za-z]", record["text"])
        assert len(embedded.encoder.encode(record["text"])) == len(pieces)
    for pronoun in (" her", " him", " me", " you", " us", " them", " it", " she", " he", " they", " his"):
        assert len(embedded.encoder.encode(pronoun)) == 1


def test_files_are_small_and_hold_no_pickle():
    files = list(embedded_directory().iterdir())
    assert (embedded_directory() / "model.safetensors").stat().st_size <= 11 * 10**6
    assert sum(path.stat().st_size for path in files) <= 12 * 2**20
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".md"}


def test_size_of_the_model_is_within_its_limits(embedded):
    config = embedded.model.config
    assert (config.n_layer, config.n_embd, config.n_head, config.n_positions) == (12, 128, 4, 64)
    assert config.vocab_size <= 2048


def test_card_says_what_training_measured():
    text = (embedded_directory() / "README.md").read_text("utf-8")
    assert "second edition" in text
    assert CARD["edition"] == 2
    losses = [f"{CARD[f'{name}_loss']:.3f}" for name in ("held_out", "unigram", "bigram", "trigram")]
    counts = [f"{CARD[f'{name}_correct']} of {CARD['items']}" for name in TESTS]
    for value in (*losses, *counts, str(CARD["seed"])):
        assert value in text
    assert CARD["held_out_loss"] < CARD["bigram_loss"] - 0.5
    assert CARD["held_out_loss"] < CARD["trigram_loss"] - 0.2


@pytest.mark.long
def test_figures_of_the_card_hold(embedded):
    """Loss and tests of context of the shipped weights, on the text that training kept apart."""
    tokenizer = embedded.encoder._tokenizer.backend_tokenizer
    held_out = windows(tokenizer, seed=SEED + 2, count=HELD_OUT_WINDOWS)
    loss = evaluation.held_out_loss(embedded.model, torch.from_numpy(held_out))
    assert loss == pytest.approx(CARD["held_out_loss"], abs=1e-3)
    for name, items in TESTS.items():
        found = evaluation.correct(embedded.model, tokenizer, items(count=TEST_ITEMS, seed=SEED + 3))
        assert found == pytest.approx(CARD[f"{name}_correct"], abs=1), name  # one item may lie on the edge


@pytest.mark.parametrize("name", TESTS)
def test_an_untrained_model_would_fail_here(name, embedded):
    tokenizer = embedded.encoder._tokenizer.backend_tokenizer
    twin = untrained_twin(embedded).model
    assert 50 <= evaluation.correct(twin, tokenizer, TESTS[name](count=200, seed=SEED + 3)) <= 150


def test_the_page_of_editions_is_of_the_records_and_of_the_weights(embedded):
    """After the records were made anew: python docs/embedded.py."""
    page = (ROOT / "docs" / "embedded.md").read_text("utf-8")
    assert runpy.run_path(str(ROOT / "docs" / "embedded.py"))["with_records"](page) == page
    assert f"| `2864bfedeaa1` | `{embedded.fingerprint[:12]}` |" in page
    for name in ("embedded", "embedded+balanced"):
        record = json.loads((ROOT / "experiments" / "baselines" / f"{name}.json").read_text("utf-8"))
        assert record["conditions"]["fingerprint"] == embedded.fingerprint
        for key in ("P3a-L06-QQ", "P5-L06-K", "P5-L06-Q"):
            assert f"{record['verdicts'][key]['estimate']:.3f} [" in page


def test_the_loader_tells_the_edition(embedded):
    assert embedded.origin == f"ships with qkvcheck, edition {CARD['edition']}"
    assert not embedded.fingerprint.startswith("2864bfedeaa1")
