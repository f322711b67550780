"""The metric of other tokens, against inverse covariances written out; no change of basis moves it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from qkvcheck.errors import NotCapturedError
from qkvcheck.statistics import token_metric

HEADS, WIDTH = 3, 5


@pytest.fixture
def tokens(rng):
    return rng.normal(size=(40, HEADS * WIDTH)) @ rng.normal(size=(HEADS * WIDTH,) * 2) + 2


@pytest.fixture
def x(rng):
    return rng.normal(size=(12, HEADS * WIDTH)) + rng.normal(size=HEADS * WIDTH)


def inverse(tokens, head):
    part = tokens[:, WIDTH * head : WIDTH * (head + 1)]
    centred = part - part.mean(axis=0)
    return np.linalg.inv(centred.T @ centred / (len(part) - 1))


def product(one, other, tokens):
    parts = [slice(WIDTH * head, WIDTH * (head + 1)) for head in range(HEADS)]
    return sum(one[p] @ inverse(tokens, head) @ other[p] for head, p in enumerate(parts))


def test_it_is_what_its_definition_says(x, tokens):
    found = token_metric(x, tokens, heads=HEADS)
    pairs = list(itertools.combinations(x, 2))
    cosines = [product(a, b, tokens) / np.sqrt(product(a, a, tokens) * product(b, b, tokens)) for a, b in pairs]
    squares = [product(a - b, a - b, tokens) for a, b in pairs]
    assert found.cosine == pytest.approx(np.mean(cosines), abs=1e-10)
    assert found.distance == pytest.approx(np.mean(squares) / (2 * HEADS * WIDTH), abs=1e-10)
    assert found.tokens == 40


def test_two_of_the_tokens_are_one_apart(tokens):
    assert token_metric(tokens, tokens, heads=HEADS).distance == pytest.approx(1, abs=1e-12)


def test_no_basis_moves_it(rng, x, tokens):
    one = token_metric(x, tokens, heads=HEADS)
    for _ in range(10):
        blocks = [rng.normal(size=(WIDTH, WIDTH)) + 2 * np.eye(WIDTH) for _ in range(HEADS)]
        m = np.zeros((HEADS * WIDTH,) * 2)
        for head, block in enumerate(blocks):
            m[WIDTH * head : WIDTH * (head + 1), WIDTH * head : WIDTH * (head + 1)] = block
        other = token_metric(x @ m, tokens @ m, heads=HEADS)
        assert other.cosine == pytest.approx(one.cosine, abs=1e-9)
        assert other.distance == pytest.approx(one.distance, abs=1e-9)


def test_tokens_have_to_spread(x, tokens):
    with pytest.raises(NotCapturedError, match="5 rows of other tokens make no metric of 5"):
        token_metric(x, tokens[:5], heads=HEADS)
    flat = tokens.copy()
    flat[:, 7] = flat[:, 6]
    with pytest.raises(NotCapturedError, match="do not spread"):
        token_metric(x, flat, heads=HEADS)
