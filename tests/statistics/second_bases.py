"""The second implementation, of numbers of heads and bases: written from the text as second_implementation.py is."""

import itertools

import numpy as np


def heads_of(rows, heads):
    rows = np.array(rows, dtype=np.float64)
    width = rows.shape[1] // heads
    return [rows[:, h * width : (h + 1) * width] for h in range(heads)]


def scores_in_place(q, k, query_heads, key_heads):
    """Q and K as `score-metric` takes them: [S_1, ..., S_H] and [S_1', ..., S_H']."""
    queries, keys = heads_of(q, query_heads), heads_of(k, key_heads)
    share = query_heads // key_heads
    scores = []
    for h, query in enumerate(queries):
        key = keys[h // share]
        scores.append(np.array([[sum(a * b for a, b in zip(x, y, strict=True)) for y in key] for x in query]))
    return np.concatenate(scores, axis=1), np.concatenate([s.T for s in scores], axis=1)


def _inverse_covariances(others, heads):
    inverses = []
    for block in heads_of(others, heads):
        mean = block.sum(axis=0) / len(block)
        covariance = sum(np.outer(row - mean, row - mean) for row in block) / (len(block) - 1)
        inverses.append(np.linalg.inv(covariance))
    return inverses


def _product(x, y, inverses):
    width = len(x) // len(inverses)
    total = 0.0
    for h, inverse in enumerate(inverses):
        part = slice(h * width, (h + 1) * width)
        total += x[part] @ inverse @ y[part]
    return float(total)


def other_tokens(grid):
    """All words of the grid but the target, word 0, in all contexts."""
    grid = np.array(grid, dtype=np.float64)
    return np.array([row for context in grid for row in context[1:]])


def token_metric(rows, grid, heads):
    rows = np.array(rows, dtype=np.float64)
    inverses = _inverse_covariances(other_tokens(grid), heads)
    values = [
        _product(x, y, inverses) / np.sqrt(_product(x, x, inverses) * _product(y, y, inverses))
        for x, y in itertools.combinations(rows, 2)
    ]
    return sum(values) / len(values)


def token_distance(rows, grid, heads):
    rows = np.array(rows, dtype=np.float64)
    inverses = _inverse_covariances(other_tokens(grid), heads)
    values = [_product(x - y, x - y, inverses) for x, y in itertools.combinations(rows, 2)]
    return sum(values) / len(values) / (2 * rows.shape[1])


def orthogonal(rng, width):
    q, r = np.linalg.qr(rng.standard_normal((width, width)))
    return q * np.sign(np.diag(r))


def turn(rng, width, rotary, pairing):
    """What one key head is multiplied by: turns within the first `rotary` dimensions' pairs,
    any rotation of the others."""
    matrix = np.zeros((width, width))
    if rotary:
        angles = rng.uniform(0, 2 * np.pi, rotary // 2)
        for n, t in enumerate(angles):
            a, b = (n, n + rotary // 2) if pairing == "halves" else (2 * n, 2 * n + 1)
            matrix[a, a], matrix[b, a] = np.cos(t), -np.sin(t)
            matrix[a, b], matrix[b, b] = np.sin(t), np.cos(t)
    if rotary < width:
        matrix[rotary:, rotary:] = orthogonal(rng, width - rotary)
    return matrix


def rotated_rows(q, k, v, *, query_heads, key_heads, seed, rotary=0, pairing="halves"):
    """Q, K and V in another basis that changes no score and no output."""
    rng = np.random.default_rng(seed)
    width = np.asarray(k).shape[1] // key_heads
    for_keys = [turn(rng, width, rotary, pairing) for _ in range(key_heads)]
    value_width = np.asarray(v).shape[1] // key_heads
    for_values = [orthogonal(rng, value_width) for _ in range(key_heads)]
    share = query_heads // key_heads
    return (
        np.concatenate([x @ for_keys[h // share] for h, x in enumerate(heads_of(q, query_heads))], axis=1),
        np.concatenate([x @ m for x, m in zip(heads_of(k, key_heads), for_keys, strict=True)], 1),
        np.concatenate([x @ m for x, m in zip(heads_of(v, key_heads), for_values, strict=True)], 1),
    )
