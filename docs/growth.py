"""How the cost of kernels and capture grows: measure it, and draw the picture of performance.md.

python docs/growth.py        # writes docs/growth.json and docs/growth.png; minutes; needs matplotlib and numba
python docs/growth.py draw   # draws what was measured
"""

from __future__ import annotations

import json
import statistics
import sys
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
    from qkvcheck.commands import contests, peers
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
    from qkvcheck.commands import machine, peers
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


def draw(found: dict[str, Any]) -> None:
    """Draw three panels: cost against width, contexts and layer."""
    import matplotlib.pyplot as plt

    panels = (
        ("width", "dimensions of Q, K and V together (54 contexts)", True),
        ("contexts", "contexts (2304 dimensions)", True),
        ("layers", "layer captured, zero-based (GPT-2 small size, 54 contexts)", False),
    )
    figure, axes = plt.subplots(1, 3, figsize=(14, 4.4), constrained_layout=True)
    for axis, (kind, label, logarithmic) in zip(axes, panels, strict=True):
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


def main() -> None:
    """Measure unless told to draw only."""
    path = HERE / "growth.json"
    if sys.argv[1:] != ["draw"]:
        path.write_text(json.dumps(measure(), indent=1) + "\n", "utf-8")
    draw(json.loads(path.read_text("utf-8")))


if __name__ == "__main__":
    main()
