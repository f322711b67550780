"""A sweep without a network: tokens are words, and what is captured is drawn from the tokens themselves."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np

from qkvcheck.sweep.corpus.shards import scan, shards_of
from qkvcheck.sweep.plan import SweepPlan
from qkvcheck.sweep.work import Bench

BLOCKS = {"Q": slice(0, 4), "K": slice(4, 9), "V": slice(9, 12)}
WORDS = ("I", "We", "They", "saw", "met", "told", "left", "her", "him", "again", "today", "never", "often", ".")


class Encoder:
    """Words are tokens; one that is not known is token 99."""

    name = "made up"
    pad_id = 0
    plain_tokens = tuple(range(len(WORDS)))

    def encode(self, text):
        return [WORDS.index(word) if word in WORDS else 99 for word in text.split()]

    def decode(self, token_ids):
        return " ".join(WORDS[token] if token < len(WORDS) else "?" for token in token_ids)


@dataclass
class Network:
    """What a sweep asks of a model."""

    number: int = 0
    encoder: Encoder = field(default_factory=Encoder)
    projections: dict = field(default_factory=lambda: dict(BLOCKS))
    heads: dict = field(default_factory=dict)
    called: str = ""
    depth: int = 3
    spec: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(untrained_seed=None))


def rows_of(network, contexts, plan):
    """Offsets of both signs, and a part that the tokens draw: (context, place, width) float32."""
    width = 12
    found = np.empty((len(contexts), plan.places, width), np.float32)
    for number, context in enumerate(contexts):
        told = hashlib.sha256(f"{network.number} {context.token_ids}".encode()).digest()
        rng = np.random.default_rng(int.from_bytes(told[:8], "little"))
        found[number] = np.linspace(-1, 1, width) + rng.normal(size=(plan.places, width)) * 0.7
    return found


def plan_of(**how):
    usual = {"model": "made-up", "targets": ("her",), "layers": (1, 2), "window": 5, "groups": 20, "drawn": 6,
             "untrained_seeds": 2, "records": 7}  # fmt: skip
    return SweepPlan(**{**usual, **how})


def bench_of(paths, plan):
    """A bench of a made-up network, with twins."""
    files = [scan(path, records=plan.records) for path in paths]
    bench = Bench(plan, files, hooked=Network(), capture=rows_of)
    bench.__dict__["hooked"] = Network()  # nothing is loaded, and torch is left alone
    bench.__dict__["networks"] = [Network(n) for n in range(1 + plan.untrained_seeds)]
    bench.__dict__["targets"] = [WORDS.index(target) for target in plan.targets]
    return bench


def sentences(count, seed=0):
    """Sentences with the target once, twice or never."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        words = list(rng.choice(WORDS, size=rng.integers(1, 9)))
        for _ in range(rng.integers(0, 3)):
            words.insert(rng.integers(0, len(words) + 1), "her")
        found.append(" ".join(words))
    return found


def written(folder, count, *, seed=0, name="a.txt"):
    path = folder / name
    path.write_text("\n".join(sentences(count, seed)) + "\n", encoding="utf-8")
    return path


def whole(bench):
    """All shards in one node, shard after shard."""
    node = None
    for shard in shards_of(bench.files, records=bench.plan.records):
        found = bench.node(shard)
        node = found if node is None else node.merged(found)
    return node
