"""The capture: the same numbers as the plain padded forward, and, when asked for, how long it takes beside its peers.

The benchmarks are off in a plain run; ``pytest experiments/test_capture_speed.py --benchmark-only`` runs them on the
model that ``--qkv-model`` names: ``gpt2#untrained`` has GPT-2 small's size and needs no download.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from qkvcheck.capture import Samples, capture
from qkvcheck.commands.benchmark import peers
from qkvcheck.contexts import ContextSet
from qkvcheck.models import HookedModel, embedded_directory, load_model

TOLERANCE = 1e-5
TIMED = ("ours", "ours, padded", "padded forward", "nnsight", "TransformerLens")


def test_capture_equals_the_padded_forward(qkv_model: HookedModel, contexts: ContextSet, samples: Samples) -> None:
    """Prefixes merged, contexts cut, later layers left out: every number within 1e-5 of the plain forward."""
    layers = samples.layers
    fast = capture(qkv_model, contexts, layers=layers)
    plain = capture(qkv_model, contexts, layers=layers, exact_layout=True)
    assert int(fast.provenance["computed"]) <= int(plain.provenance["computed"])
    for layer in layers:
        whole = peers.PaddedForward(qkv_model, contexts, layer)()
        scale = max(1.0, float(np.abs(whole).max()))
        np.testing.assert_allclose(fast.at(layer), whole, rtol=0, atol=TOLERANCE * scale)
        np.testing.assert_allclose(plain.at(layer), whole, rtol=0, atol=TOLERANCE * scale)


@pytest.mark.benchmark(group="capture of one layer")
@pytest.mark.parametrize("way", TIMED)
def test_capture_speed(
    way: str, qkv_model: HookedModel, contexts: ContextSet, samples: Samples, benchmark: Any
) -> None:
    """One layer at the target, in every context."""
    lacking = peers.missing(way) if way in peers.MODULES else None
    if lacking is not None:
        pytest.skip(f"{lacking} is not installed: pip install 'qkvcheck[bench]'")
    layer = samples.layers[-1]
    run: Callable[[], np.ndarray]
    if way == "padded forward":
        run = peers.PaddedForward(qkv_model, contexts, layer)
    elif way == "nnsight":
        run = peers.Nnsight(qkv_model, contexts, layer)
    elif way == "TransformerLens":
        from transformers import AutoTokenizer

        # It changes the model that it wraps, so it gets one of its own.
        own = load_model(qkv_model.spec)
        run = peers.TransformerLens(own, contexts, layer, AutoTokenizer.from_pretrained(embedded_directory()))
    else:
        exact = way == "ours, padded"
        run = lambda: capture(qkv_model, contexts, layers=[layer], exact_layout=exact).at(layer)  # noqa: E731

    benchmark.extra_info["contexts"] = len(contexts)
    benchmark.pedantic(run, rounds=7, warmup_rounds=1)
