"""How the cost of kernels and capture grows: measure it, and draw the picture of performance.md.

python docs/growth.py        # writes docs/growth.json and docs/growth.png; minutes; needs matplotlib and numba
python docs/growth.py verdicts   # measures the cost of verdicts alone, and draws
python docs/growth.py draw   # draws what was measured
"""

from __future__ import annotations

import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
WIDTHS = (576, 1152, 2304, 4608, 9216, 18_432, 36_864)
WIDEST_MATRIX = 10_000
CONTEXTS = (8, 16, 54, 128, 256, 512, 1000, 2000, 4000)
LAYERS = range(12)
VERDICTS = (54, 200, 500, 1000, 2000, 5000, 20_000)
FIRST_WORDS = ("He", "She", "They", "We", "I", "You", "Nobody", "Everyone", "Someone", "Tom")
CLAIMS = """
schema = "qkvcheck/claims/1"
layer = 6

[[claim]]
id = "V"
statement = "the cosines between dimensions have two poles"
statistic = "variance"
direction = "above"
threshold = 0.4444444444444444
axis = "dimensions"
groups = ["QQ", "KK", "VV", "QK", "QV", "KV"]
measures = ["cosine", "pearson"]
primary = [["QQ", "cosine"]]
controls = ["non-target", "untrained", "shuffled"]

[[claim]]
id = "R"
statement = "the target's vectors are alike across sentences"
statistic = "row_mean"
direction = "above"
threshold = 0.5
axis = "contexts"
groups = ["Q", "K", "V"]
measures = ["cosine", "pearson"]
primary = [["K", "cosine"]]
controls = ["different-words", "untrained", "shuffled"]
"""
TESTS = """
import pytest


@pytest.mark.claim(id="V")
def test_dimensions(claim):
    claim.check()


@pytest.mark.claim(id="R")
def test_contexts(claim):
    claim.check()
"""
LABELS = {
    "numba": "qkvcheck, numba kernel",
    "torch": "qkvcheck, torch kernel",
    "numpy": "NumPy, whole matrix",
    "torch matmul + histc": "torch matmul + histc",
    "product alone": "float32 product alone (NumPy)",
    "trie": "qkvcheck",
    "padded": "padded, ends at the layer",
    "whole": "padded, whole forward",
}
COLOURS = {
    "numba": "#0b6e4f", "torch": "#3b8ea5", "numpy": "#c8553d", "torch matmul + histc": "#e09f3e",
    "product alone": "#777777",
    "trie": "#0b6e4f", "padded": "#3b8ea5", "whole": "#c8553d",
}  # fmt: skip


def seconds(run: Callable[[], Any], *, rounds: int = 7) -> float:
    """Return the median time of a call, after calls for a twentieth of a second."""
    begun = time.perf_counter()
    while time.perf_counter() - begun < 0.05:
        run()
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def kernels(n: int, width: int) -> dict[str, float]:
    """Time all kernels and peers at one size."""
    from qkvcheck.commands.benchmark import contests, peers
    from qkvcheck.groups import PAIR_GROUPS
    from qkvcheck.statistics import summarise_groups, unit_columns

    x = contests.activations_like(n, width, rng=np.random.default_rng(0))
    blocks, groups = contests.equal_blocks(width), [(g[0], g[1]) for g in PAIR_GROUPS]
    ways: dict[str, Callable[[], Any]] = {
        name: partial(summarise_groups, x, blocks, groups, kernel=name) for name in ("numba", "torch")
    }
    if width <= WIDEST_MATRIX:
        ways["numpy"] = partial(peers.histograms_of_numpy, x, blocks, groups, bins=100)
        ways["torch matmul + histc"] = partial(peers.histograms_of_torch, x, blocks, groups, bins=100)
        ways["product alone"] = peers.product_of_numpy(unit_columns(x).astype(np.float32))
    return {name: seconds(run, rounds=7 if width <= WIDEST_MATRIX else 3) for name, run in ways.items()}


def measure() -> dict[str, Any]:
    """Time everything; say what is being timed."""
    from qkvcheck.capture import capture
    from qkvcheck.commands import machine
    from qkvcheck.commands.benchmark import peers
    from qkvcheck.contexts import encode_corpus, read_corpus
    from qkvcheck.models import load_model

    found: dict[str, Any] = {"machine": machine(), "width": {}, "contexts": {}, "layers": {}}
    for width in WIDTHS:
        print(f"width {width}", file=sys.stderr, flush=True)
        found["width"][width] = kernels(54, width)
    for n in CONTEXTS:
        print(f"{n} contexts", file=sys.stderr, flush=True)
        found["contexts"][n] = kernels(n, 2304)
    hooked = load_model("gpt2#untrained")
    contexts = encode_corpus(read_corpus("replication"), hooked.encoder, target=" her")
    for layer in LAYERS:
        print(f"layer {layer}", file=sys.stderr, flush=True)
        ways = {
            "trie": partial(capture, hooked, contexts, layers=[layer]),
            "padded": partial(capture, hooked, contexts, layers=[layer], exact_layout=True),
            "whole": peers.PaddedForward(hooked, contexts, layer),
        }
        found["layers"][layer] = {name: seconds(run) for name, run in ways.items()}
    return found


def sentences() -> list[str]:
    """Return more than 20,000 sentences of a template with ten first words, in a random order."""
    from qkvcheck.contexts.vocabulary import word_lists

    lists = word_lists()
    others = [text for phrases in lists["subjects"].values() for text in phrases if " " in text][:40]
    made = [
        f"{first} and {other[0].lower()}{other[1:]} {verb} her again."
        for first, other, verb in itertools.product(FIRST_WORDS, others, lists["verbs"]["any"])
    ]
    random.Random(0).shuffle(made)
    return made


def verdicts(n: int, folder: Path) -> dict[str, float]:
    """Judge two claims with all controls on n contexts; return seconds of processor time and the peak memory."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--qkv-model=embedded"]
    command += ["--qkv-corpus=contexts.txt", f"--qkv-limit={n}", "--qkv-json=result.json", "."]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    begun = time.perf_counter()
    child = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    _, _, used = os.wait4(child.pid, 0)
    found = json.loads((folder / "result.json").read_text("utf-8"))
    assert found["corpus"]["contexts"] == n
    return {
        "processor": used.ru_utime + used.ru_stime,
        "wall": time.perf_counter() - begun,
        "megabytes": used.ru_maxrss / 1024,
    }


def measure_verdicts() -> dict[str, dict[str, float]]:
    """Judge on more and more contexts, each time in a fresh process."""
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "claims.toml").write_text(CLAIMS, "utf-8")
        (folder / "test_claims.py").write_text(TESTS, "utf-8")
        (folder / "pytest.ini").write_text("[pytest]\nqkv_claims = claims.toml\n", "utf-8")
        (folder / "contexts.txt").write_text("\n".join(sentences()) + "\n", "utf-8")
        for n in VERDICTS:
            found[str(n)] = verdicts(n, folder)
            print(f"verdicts on {n} contexts: {found[str(n)]}", file=sys.stderr, flush=True)
    return found


def draw(found: dict[str, Any]) -> None:
    """Draw four panels: cost against width, contexts and layer, and that of verdicts against contexts."""
    import matplotlib.pyplot as plt

    panels = (
        ("width", "dimensions of Q, K and V together (54 contexts)", True),
        ("contexts", "contexts (2304 dimensions)", True),
        ("layers", "layer captured, zero-based (GPT-2 small size, 54 contexts)", False),
    )
    figure, axes = plt.subplots(1, 4, figsize=(18.5, 4.4), constrained_layout=True)
    draw_verdicts(axes[3], found["verdicts"])
    for axis, (kind, label, logarithmic) in zip(axes[:3], panels, strict=True):
        sizes = [int(size) for size in found[kind]]
        for name in dict.fromkeys(name for times in found[kind].values() for name in times):
            points = [(s, t[name] * 1e3) for s, t in zip(sizes, found[kind].values(), strict=True) if name in t]
            axis.plot(*zip(*points, strict=True), marker="o", ms=3.5, lw=1.6, color=COLOURS[name], label=LABELS[name])
        if logarithmic:
            axis.set_xscale("log")
            axis.set_yscale("log")
        else:
            axis.set_ylim(bottom=0)
        axis.set_xlabel(label)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8, frameon=False)
    axes[0].set_ylabel("milliseconds (median)")
    figure.savefig(HERE / "growth.png", dpi=110)


def draw_verdicts(axis: Any, found: dict[str, dict[str, float]]) -> None:
    """Draw processor time and peak memory of two claims with all controls against the number of contexts."""
    sizes = [int(size) for size in found]
    (seconds,) = axis.plot(
        sizes, [one["processor"] for one in found.values()], marker="o", ms=3.5, lw=1.6, color="#0b6e4f"
    )
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_ylim(1, 1000)
    axis.set_ylabel("seconds of processor time")
    axis.set_xlabel("contexts (two claims, all controls, 19 untrained networks, embedded model)")
    axis.xaxis.label.set_size(8)
    axis.grid(alpha=0.3)
    other = axis.twinx()
    (memory,) = other.plot(
        sizes, [one["megabytes"] / 1000 for one in found.values()], marker="s", ms=3.5, lw=1.6, ls="--", color="#c8553d"
    )
    other.set_ylim(0, 2.5)
    other.set_ylabel("peak memory, GB")
    axis.legend([seconds, memory], ["processor time", "peak memory"], fontsize=8, frameon=False, loc="upper left")


def main() -> None:
    """Measure unless told to draw only."""
    path = HERE / "growth.json"
    if sys.argv[1:] == ["verdicts"]:
        known = json.loads(path.read_text("utf-8"))
        path.write_text(json.dumps({**known, "verdicts": measure_verdicts()}, indent=1) + "\n", "utf-8")
    elif sys.argv[1:] != ["draw"]:
        path.write_text(json.dumps({**measure(), "verdicts": measure_verdicts()}, indent=1) + "\n", "utf-8")
    draw(json.loads(path.read_text("utf-8")))


if __name__ == "__main__":
    main()
