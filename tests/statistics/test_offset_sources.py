"""Where an offset comes from: parts that were planted are found."""

from __future__ import annotations

import numpy as np
import pytest

from qkvcheck.statistics.offset_sources import attribute, token_share


def test_attribution(rng):
    """Planted: weights, generic and token each along a direction of their own."""
    weights, generic, token = np.eye(3, 30) * np.array([[1.0], [2.0], [3.0]])
    words = np.zeros((12, 6, 30))
    words[:, :-1] = weights + generic
    words[:, 0] += token
    words[:, 1:-1] -= token / 4  # so that the mean over words is weights + generic
    words[:, -1] = weights
    positions = np.repeat([2, 3], 6)
    words[:6, 0, 10] += 1.0
    words[6:, 0, 10] -= 1.0  # between positions
    words[::2, 0, 11] += 0.5
    words[1::2, 0, 11] -= 0.5  # within them
    energy = 1 + 4 + 9 + 1 + 0.25
    found = attribute(words, positions)
    assert found.weights == pytest.approx(1 / energy)
    assert found.generic == pytest.approx(4 / energy)
    assert found.token == pytest.approx(9 / energy)
    assert found.position == pytest.approx(1 / energy)
    assert found.context == pytest.approx(0.25 / energy)
    assert found.top_share == pytest.approx(9 / 14)
    assert token_share(words) == pytest.approx(9 / 14)
    noisy = attribute(words + rng.normal(size=words.shape), positions)
    shares = (noisy.weights, noisy.generic, noisy.token, noisy.position, noisy.context)
    assert sum(shares) == pytest.approx(1.0)
