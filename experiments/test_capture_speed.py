"""The capture: the same numbers as the plain padded forward, and, when asked for, how long it takes beside its peers.

The benchmarks are off in a plain run; ``pytest experiments/test_capture_speed.py --benchmark-only`` runs them on the
model that ``--qkv-model`` names: ``gpt2#untrained`` has GPT-2 small's size and needs no download.
"""

from __future__ import annotations

import numpy as np
import pytest

from qkvcheck.capture import capture
from qkvcheck.commands import peers
from qkvcheck.models import HookedModel, embedded_directory, load_model

TOLERANCE = 1e-5
TIMED = ("ours", "ours, padded", "padded forward", "nnsight", "TransformerLens")


@pytest.fixture
def hooked(qkv_model) -> HookedModel:
    """The model under test; activations from a file have none."""
    if not isinstance(qkv_model, HookedModel):
        pytest.skip("activations from a file come without a model")
    return qkv_model


def test_capture_equals_the_padded_forward(hooked, contexts, samples):
    """Prefixes merged, contexts cut, later layers left out: every number within 1e-5 of the plain forward."""
    layers = samples.layers
    fast = capture(hooked, contexts, layers=layers)
    plain = capture(hooked, contexts, layers=layers, exact_layout=True)
    assert int(fast.provenance["computed"]) <= int(plain.provenance["computed"])
    for layer in layers:
        whole = peers.PaddedForward(hooked, contexts, layer)()
        scale = max(1.0, float(np.abs(whole).max()))
        np.testing.assert_allclose(fast.at(layer), whole, rtol=0, atol=TOLERANCE * scale)
        np.testing.assert_allclose(plain.at(layer), whole, rtol=0, atol=TOLERANCE * scale)


@pytest.mark.benchmark(group="capture of one layer")
@pytest.mark.parametrize("way", TIMED)
def test_capture_speed(way, hooked, contexts, samples, benchmark):
    """One layer at the target, in every context."""
    lacking = peers.missing(way) if way in peers.MODULES else None
    if lacking is not None:
        pytest.skip(f"{lacking} is not installed: pip install 'qkvcheck[bench]'")
    layer = samples.layers[-1]
    if way == "padded forward":
        run = peers.PaddedForward(hooked, contexts, layer)
    elif way == "nnsight":
        run = peers.Nnsight(hooked, contexts, layer)
    elif way == "TransformerLens":
        from transformers import AutoTokenizer

        # It changes the model that it wraps, so it gets one of its own.
        own = load_model(hooked.spec)
        run = peers.TransformerLens(own, contexts, layer, AutoTokenizer.from_pretrained(embedded_directory()))
    else:

        def run() -> np.ndarray:
            return capture(hooked, contexts, layers=[layer], exact_layout=way == "ours, padded").at(layer)

    benchmark.extra_info["contexts"] = len(contexts)
    benchmark.pedantic(run, rounds=7, warmup_rounds=1)
