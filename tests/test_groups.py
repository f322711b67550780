"""Groups: heads as they are named, and which of them share keys and values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qkvcheck.groups import (
    MOST_HEADS,
    head_count,
    head_read,
    heads_obstacle,
    heads_of,
    heads_text,
    heads_that_differ,
)

GROUPED = {"Q": 9, "K": 3, "V": 3}


@pytest.mark.parametrize(
    ("given", "heads"),
    [
        (0, (0,)), ("3", (3,)), ([4, 1, 1], None), ([4, 1], (1, 4)), ((2, 0), (0, 2)), (" 0 - 2 , 5", (0, 1, 2, 5)),
        ("all", "all"), (" all ", "all"), (MOST_HEADS - 1, (MOST_HEADS - 1,)),
        (MOST_HEADS, None), (-1, None), (True, None), (1.0, None), ([], None), ("", None), ("2-1", None), ("x", None),
        ("0-1024", None), ([0, "1"], None), (None, None), ("٣", None),
    ],
)  # fmt: skip
def test_heads_as_they_are_named(given, heads):
    assert heads_of(given) == heads


@given(st.sets(st.integers(0, MOST_HEADS - 1), min_size=1, max_size=40))
def test_heads_are_read_as_they_are_written(numbers):
    heads = tuple(sorted(numbers))
    assert heads_of(heads_text(heads)) == heads == heads_of(list(numbers))


@given(st.integers(1, 8), st.integers(1, 8))
def test_each_head_of_the_keys_is_read_by_as_many(keys, per_key):
    """As attention does it: key head k serves the query heads k r to k r + r - 1."""
    heads = {"Q": keys * per_key, "K": keys, "V": keys}
    assert head_count(heads) == keys * per_key
    read = [head_read(head, "K", heads) for head in range(head_count(heads))]
    assert read == [key for key in range(keys) for _ in range(per_key)]
    assert [head_read(head, "Q", heads) for head in range(head_count(heads))] == list(range(keys * per_key))


@pytest.mark.parametrize(
    ("group", "numbers", "kept"),
    [
        ("K", range(9), (0, 3, 6)), ("KV", range(9), (0, 3, 6)), ("VV", range(9), (0, 3, 6)),
        ("Q", range(9), tuple(range(9))), ("QK", range(9), tuple(range(9))), ("QKV", range(9), tuple(range(9))),
        ("K", (4, 5, 7), (4, 7)),
    ],
)  # fmt: skip
def test_heads_that_share_keys_count_once_where_no_queries_are_compared(group, numbers, kept):
    assert heads_that_differ(numbers, group, GROUPED) == kept


@pytest.mark.parametrize(
    ("heads", "widths", "said"),
    [
        (GROUPED, {"Q": 576, "K": 192, "V": 192}, None),
        ({"Q": 2, "K": 2, "V": 1}, {"Q": 4, "K": 4, "V": 4}, None),
        ({"Q": 9, "K": 3}, {"Q": 576, "K": 192, "V": 192}, "heads are those of Q, K, and projections Q, K, V"),
        ({"Q": 9, "K": 2, "V": 2}, {"Q": 576, "K": 192, "V": 192}, "2 heads of K do not divide the 9 heads"),
        ({"Q": 9, "K": 3, "V": 3}, {"Q": 576, "K": 192, "V": 190}, "3 heads do not divide the width 190 of V"),
        ({"Q": 0, "K": 0, "V": 0}, {"Q": 4, "K": 4, "V": 4}, "Q has 0 heads"),
    ],
)
def test_what_numbers_of_heads_can_be(heads, widths, said):
    found = heads_obstacle(heads, widths)
    assert found is None if said is None else said in found
