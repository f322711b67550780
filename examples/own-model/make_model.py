"""Make the model that this project guards: a tiny GPT-2 that learns in some seconds who gives what.

It stands for your own training. The more steps, the better it knows; with `--steps 0` it keeps its random weights, like
a training that silently did nothing.
"""

import argparse
import random

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

GIVERS = (
    "Tom Anna Mary John Peter Sarah David Maria Jack Paul Jane Laura "
    "Mark Alice Kate Henry Nobody Everyone He She We They I You"
).split()
VERBS = "gave sent showed lent sold brought handed left".split()
RECEIVERS = "her him me us them you Anna Mary John Peter Sarah".split()
THINGS = "a letter,the map,his boat,an old song,some money,our keys,no news,a hat".split(",")
END = "<|endoftext|>"


def make_sentences(count: int) -> list[str]:
    """Return sentences such as "Tom gave her a letter."; each giver has one thing to give."""
    draw = random.Random(0)
    givers = [draw.randrange(len(GIVERS)) for _ in range(count)]
    return [
        f"{GIVERS[giver]} {draw.choice(VERBS)} {draw.choice(RECEIVERS)} {THINGS[giver % len(THINGS)]}."
        for giver in givers
    ]


def make_tokenizer(sentences: list[str]) -> PreTrainedTokenizerFast:
    """Return a byte-level tokenizer to which each word, with the space before it, is one token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=[END], initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(sentences, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=END)


def main() -> None:
    """Train, and save the model with its tokenizer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200, help="training steps (default: 200)")
    parser.add_argument("--out", default="model", help="folder to write (default: model)")
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    sentences = make_sentences(64 * 50)
    tokenizer = make_tokenizer(sentences)
    ids = tokenizer(sentences, padding=True, return_tensors="pt")["input_ids"]
    end = tokenizer.eos_token_id
    config = GPT2Config(
        vocab_size=len(tokenizer), n_positions=16, n_embd=32, n_layer=2, n_head=2, bos_token_id=end, eos_token_id=end
    )
    model = GPT2LMHeadModel(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for step in range(options.steps):
        batch = ids[step % 50 :: 50]
        optimizer.zero_grad()
        loss = model(batch, labels=batch).loss
        loss.backward()
        optimizer.step()
    model.save_pretrained(options.out)
    tokenizer.save_pretrained(options.out)
    print(f"{options.out}: {options.steps} steps" + (f", loss {loss:.2f}" if options.steps else ""))


if __name__ == "__main__":
    main()
