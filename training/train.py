"""Train the embedded model: a GPT-2 of 12 layers on generated English, from one seed.

    python training/train.py --out qkvcheck/data/embedded

Every setting that shapes the result stands below.  The settings were chosen on losses and on the tests in
``evaluation.py`` only; nothing here computes, or was chosen by, a statistic of a claim.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import time
from datetime import date
from pathlib import Path

import numpy as np
import torch
from card import write_card
from evaluation import belonging_items, correct, gender_items, head_items, held_out_loss, ngram_losses, reading_items
from generator import documents
from tokenizer import END_OF_TEXT, train_tokenizer
from tokenizers import Tokenizer
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

EDITION = 2
SEED = 20261127
TOKENIZER_DOCUMENTS = 40_000
VOCABULARY = 2_048
WINDOW = 64
BATCH = 16
STEPS = 2_400
WARMUP = 100
PEAK_LEARNING_RATE = 2e-3
WEIGHT_DECAY = 0.1
HELD_OUT_WINDOWS = 1_024
TEST_ITEMS = 600
THREADS = 1
CORPORA = Path(__file__).parents[1] / "qkvcheck" / "data" / "corpora"


def corpus_sentences() -> frozenset[str]:
    """The sentences that the training text must not hold: those of the three corpora."""
    files = [CORPORA / f"{name}.jsonl" for name in ("balanced", "grammatical", "replication")]
    lines = itertools.chain.from_iterable(path.read_text("utf-8").splitlines() for path in files)
    return frozenset(json.loads(line)["text"] for line in lines)


def windows(tokenizer: Tokenizer, *, seed: int, count: int) -> np.ndarray:
    """Return (window, token) ids; each window starts where a document starts.

    Documents follow one another with an end-of-text token between them, and the last one is cut.
    """
    end = tokenizer.token_to_id(END_OF_TEXT)
    source = documents(seed=seed, forbidden=corpus_sentences())
    rows = np.empty((count, WINDOW), dtype=np.int64)
    for row in rows:
        ids: list[int] = []
        while len(ids) < WINDOW:
            ids += [*tokenizer.encode(next(source)).ids, end]
        row[:] = ids[:WINDOW]
    return rows


def learning_rate(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine down to a twentieth of the peak."""
    if step < WARMUP:
        return PEAK_LEARNING_RATE * (step + 1) / WARMUP
    progress = (step - WARMUP) / max(1, steps - WARMUP)
    return PEAK_LEARNING_RATE * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * progress)))


def build_model(tokenizer: Tokenizer) -> GPT2LMHeadModel:
    """A GPT-2 of 12 layers, 128 wide, 4 heads."""
    end = tokenizer.token_to_id(END_OF_TEXT)
    torch.manual_seed(SEED)
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=tokenizer.get_vocab_size(), n_positions=WINDOW, n_embd=128, n_layer=12, n_head=4,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=end, eos_token_id=end,
        )
    )  # fmt: skip


def train(model: GPT2LMHeadModel, rows: np.ndarray, *, steps: int) -> None:
    """One pass over the rows: every window is seen once."""
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    plain = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=PEAK_LEARNING_RATE, betas=(0.9, 0.98), fused=True)
    started = time.monotonic()
    model.train()
    for step in range(steps):
        batch = torch.from_numpy(rows[step * BATCH : (step + 1) * BATCH])
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps)
        loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step % 50 == 0 or step == steps - 1:
            print(f"step {step:5d}/{steps}  loss {loss.item():.4f}  {time.monotonic() - started:6.0f} s", flush=True)


def save(model: GPT2LMHeadModel, tokenizer: Tokenizer, results: dict[str, object], out: Path) -> None:
    """Write weights, tokenizer, the measured results and the model card."""
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out, safe_serialization=True)
    (out / "generation_config.json").unlink(missing_ok=True)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END_OF_TEXT, bos_token=END_OF_TEXT)
    fast.save_pretrained(out)
    # Written by hand: the class name that transformers 5 records is unknown to transformers 4.
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END_OF_TEXT, "bos_token": END_OF_TEXT,
        "model_max_length": WINDOW, "clean_up_tokenization_spaces": False,
    }  # fmt: skip
    (out / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    (out / "training.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    write_card(out, results)


def evaluate(model: GPT2LMHeadModel, tokenizer: Tokenizer, rows: np.ndarray) -> dict[str, object]:
    """Losses on text kept apart, and how many items of each test of context are right."""
    held_out = windows(tokenizer, seed=SEED + 2, count=HELD_OUT_WINDOWS)
    unigram, bigram, trigram = ngram_losses(rows, held_out, vocabulary=tokenizer.get_vocab_size())
    tests = {"gender": gender_items, "head": head_items, "reading": reading_items, "belonging": belonging_items}
    results: dict[str, object] = {
        "held_out_loss": round(held_out_loss(model, torch.from_numpy(held_out)), 4),
        "unigram_loss": round(unigram, 4),
        "bigram_loss": round(bigram, 4),
        "trigram_loss": round(trigram, 4),
    }
    for name, items in tests.items():
        results[f"{name}_correct"] = correct(model, tokenizer, items(count=TEST_ITEMS, seed=SEED + 3))
    return {**results, "items": TEST_ITEMS}


def main() -> None:
    """Train, evaluate, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="directory that receives the model")
    parser.add_argument("--steps", type=int, default=STEPS, help="training steps. Default: %(default)s")
    arguments = parser.parse_args()
    torch.set_num_threads(THREADS)
    started = time.monotonic()
    source = documents(seed=SEED, forbidden=corpus_sentences())
    tokenizer = train_tokenizer(itertools.islice(source, TOKENIZER_DOCUMENTS), vocabulary=VOCABULARY)
    rows = windows(tokenizer, seed=SEED + 1, count=arguments.steps * BATCH)
    size = tokenizer.get_vocab_size()
    print(f"{size} tokens, {rows.size:,} training positions, {time.monotonic() - started:.0f} s to write them", flush=True)
    model = build_model(tokenizer)
    train(model, rows, steps=arguments.steps)
    results: dict[str, object] = {
        "edition": EDITION,
        **evaluate(model, tokenizer, rows),
        "parameters": model.num_parameters(),
        "vocabulary": size,
        "training_positions": int(rows.size),
        "steps": arguments.steps,
        "seed": SEED,
        "minutes": round((time.monotonic() - started) / 60, 1),
        "threads": THREADS,
        "torch": torch.__version__,
        "date": date.today().isoformat(),
    }
    save(model, tokenizer, results, arguments.out)
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
