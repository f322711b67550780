"""What is held in memory: of a histogram tiles, and no matrix of all pairs; of captures that were judged, none."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tracemalloc
import weakref
from importlib.util import find_spec

import numpy as np
import pytest

from qkvcheck.capture.activations import Activations, sample_of
from qkvcheck.claims.claim import Claim, Direction, cells
from qkvcheck.claims.judging import JudgeOptions, judge_sample
from qkvcheck.groups import PROJECTIONS, Comparison

pytestmark = pytest.mark.needs_time

WIDTH, CONTEXTS = 36_864, 54

MEASURE = """
import json, resource, sys
import numpy as np
from qkvcheck.statistics.similarity import PAIR_GROUPS, summarise_groups

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # MB on Linux

kernel, width, n = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
third = width // 3
blocks = {name: slice(i * third, (i + 1) * third) for i, name in enumerate("QKV")}
rng = np.random.default_rng(0)
summarise_groups(rng.standard_normal((n, 96), dtype=np.float32),
                 {name: slice(i * 32, (i + 1) * 32) for i, name in enumerate("QKV")}, PAIR_GROUPS, kernel=kernel)
x = rng.standard_normal((n, width), dtype=np.float32)
x += 2 * rng.standard_normal(width, dtype=np.float32)
before = peak()
found = summarise_groups(x, blocks, PAIR_GROUPS, kernel=kernel)
print(json.dumps({"pairs": sum(s.pairs for s in found), "counted": sum(int(s.counts.sum()) for s in found),
                  "above": peak() - before, "variance": found[0].variance}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read as Linux gives it")
@pytest.mark.parametrize("kernel", [pytest.param("torch", marks=pytest.mark.long), "numba"])
def test_a_model_of_gpt3s_width_takes_tiles_only(kernel):
    """36,864 dimensions have 679 million pairs, whose matrix would take 5.4 GB in float32."""
    if kernel == "numba" and find_spec("numba") is None:
        pytest.skip("numba is not installed")
    command = [sys.executable, "-c", MEASURE, kernel, str(WIDTH), str(CONTEXTS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["pairs"] == found["counted"] == WIDTH * (WIDTH - 1) // 2
    assert 0.1 < found["variance"] < 0.5
    assert found["above"] < 200


STREAM = """
import resource, sys
import numpy as np
from qkvcheck.statistics.streaming import accumulate

def shards(contexts, width=96, size=10_000):
    for start in range(0, contexts, size):
        yield np.random.default_rng([7, start]).standard_normal((size, width), dtype=np.float32)

found = accumulate(shards(int(sys.argv[1])))
assert found.n == int(sys.argv[1])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read as Linux gives it")
def test_a_million_contexts_take_what_ten_thousand_take():
    """Their activations alone would take 384 MB here."""
    few, many = (
        float(subprocess.run([sys.executable, "-c", STREAM, n], capture_output=True, text=True, check=True).stdout)
        for n in ("10000", "1000000")
    )
    assert many - few < 100


def captured(rng: np.random.Generator, *, contexts: int = 30, layers: int = 14, width: int = 200) -> Activations:
    """Return activations of about 1 MB, as a capture of a small model gives them."""
    values = rng.standard_normal((contexts, layers, 3 * width), dtype=np.float32)
    values += 2 * rng.standard_normal(3 * width, dtype=np.float32)
    projections = {name: slice(i * width, (i + 1) * width) for i, name in enumerate(PROJECTIONS)}
    return Activations(values, ("context", "layer", "width"), tuple(range(layers)), projections)


def judge_one(claim: Claim, rng: np.random.Generator) -> list[weakref.ref]:
    """Judge a claim on captures of its own, with a control; return references that keep none of them."""
    several = claim.statistic == "variance_difference"
    own, control = ((captured(rng), captured(rng)) if several else captured(rng) for _ in range(2))
    parts = [part for one in (own, control) for part in (one if several else (one,))]
    assert all(0.9e6 < part.values.nbytes < 1.2e6 for part in parts)
    sample, other = (sample_of(one, layer=6) for one in (own, control))
    assert sample_of(own, layer=6) is sample
    (cell,) = cells(claim, layers=[6])
    options = JudgeOptions(pictures=True)
    verdict = judge_sample(claim, cell, sample, controls={"different-words": other}, options=options)
    assert verdict.estimate is not None
    assert verdict.controls[0].low is not None  # paired: under clusters that both share
    return [weakref.ref(kept) for kept in (*parts, sample, other)]


def bytes_of_arrays() -> int:
    """Return what numpy's arrays hold, as far as they were traced."""
    gc.collect()
    of_numpy = tracemalloc.DomainFilter(inclusive=True, domain=np.lib.tracemalloc_domain)
    return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces([of_numpy]).traces)


@pytest.mark.parametrize(
    ("statistic", "group"),
    [
        pytest.param("variance", "QQ", marks=pytest.mark.long),
        ("row_mean", "Q"),
        pytest.param("variance_difference", "QQ", marks=pytest.mark.long),
    ],
)
def test_captures_that_were_judged_are_kept_by_nothing(statistic, group, rng):
    """A hundred of them, one after another, as a training run judges its checkpoints."""
    place = Comparison(group, "cosine")
    axis = "contexts" if group == "Q" else "dimensions"
    claim = Claim(
        "mine", "as claimed", statistic, Direction.ABOVE, 0.1, axis=axis, groups=(group,), primary=(place,),
        controls=("different-words",),
    )  # fmt: skip
    judge_one(claim, rng)  # what is computed once and for all
    tracemalloc.start()
    try:
        before = bytes_of_arrays()
        references = [reference for _ in range(100) for reference in judge_one(claim, rng)]
        grown = bytes_of_arrays() - before
    finally:
        tracemalloc.stop()
    assert [reference for reference in references if reference() is not None] == []
    assert grown < 2_000_000
