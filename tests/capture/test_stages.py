"""What is taken for queries, keys and values among the products of an attention module."""

from __future__ import annotations

import torch

from qkvcheck.capture.stages import _queries_keys_values
from qkvcheck.models.architecture import Heads

HEADS = Heads(4, 2, 6, 6)
QUERY, KEY, VALUE, SCORES = (
    torch.randn(5, 4, 7, 6),
    torch.randn(5, 4, 7, 6),
    torch.randn(5, 4, 7, 6),
    torch.rand(5, 4, 7, 7),
)


def test_products_that_turn_places_into_angles_are_passed_over():
    angles = (torch.randn(1, 3, 1), torch.randn(1, 1, 7))
    found = _queries_keys_values([angles, (QUERY, KEY.mT), (SCORES, VALUE)], HEADS)
    assert all(torch.equal(one, other) for one, other in zip(found, (QUERY, KEY, VALUE), strict=True))


def test_products_between_scores_and_mixing_are_passed_over():
    """DeBERTa multiplies queries and keys by those of distances, too."""
    found = _queries_keys_values([(QUERY, KEY.mT), (QUERY, VALUE.mT), (SCORES, VALUE)], HEADS)
    assert torch.equal(found[1], KEY)
    assert torch.equal(found[2], VALUE)


def test_heads_may_be_laid_over_the_batch():
    flat = [(QUERY.flatten(0, 1), KEY.mT.flatten(0, 1)), (SCORES.flatten(0, 1), VALUE.flatten(0, 1))]
    found = _queries_keys_values(flat, HEADS)
    assert torch.equal(found[0].unflatten(0, (-1, 4)), QUERY)


def test_attention_as_one_call_is_taken_as_it_is():
    assert _queries_keys_values([(QUERY, KEY.mT), (QUERY, KEY, VALUE)], HEADS) == (QUERY, KEY, VALUE)


def test_nothing_is_found_where_there_are_no_scores():
    assert _queries_keys_values([], HEADS) is None
    assert _queries_keys_values([(SCORES, VALUE)], HEADS) is None
