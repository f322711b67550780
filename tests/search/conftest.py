"""Contexts that a search can break: alike among themselves, so that others are not."""

from __future__ import annotations

import numpy as np
import pytest

from qkvcheck.capture.hooks import capture


@pytest.fixture(scope="session")
def alike(embedded, replication):
    """Sentences of the corpus that meet P5's 0.9 among themselves (Q of layer 6), so that others can break it."""
    rows = capture(embedded, replication, layers=[6]).projection(6, "Q").astype(np.float64)
    kept = list(range(len(rows)))
    while (means := (np.corrcoef(rows[kept]).sum(axis=1) - 1) / (len(kept) - 1)).min() <= 0.902:
        kept.pop(int(means.argmin()))
    assert len(kept) >= 20
    return replication.subset(kept)


@pytest.fixture
def alike_file(alike, tmp_path):
    """The same sentences in a file."""
    path = tmp_path / "alike.txt"
    path.write_text("\n".join(context.text for context in alike.contexts) + "\n", encoding="utf-8")
    return path
