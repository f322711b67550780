"""What a histogram of many dimensions holds in memory: tiles, and no matrix of all pairs."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest

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
@pytest.mark.parametrize("kernel", ["torch", "numba"])
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
