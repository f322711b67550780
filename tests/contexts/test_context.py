"""Contexts: what a model can see of them, the audit, clusters, matched positions."""

from __future__ import annotations

from hashlib import sha256

from qkvcheck.contexts.context import Context, ContextSet, audit, clusters_of, match_positions


def make_set(rows: list[tuple[tuple[int, ...], int]]) -> ContextSet:
    contexts = tuple(Context(str(n), ids, index) for n, (ids, index) in enumerate(rows))
    return ContextSet(contexts, " t", 9, "made", "0" * 64)


def test_audit_counts_prefixes_not_sentences():
    made = make_set([((1, 2, 9), 2), ((1, 2, 9, 5), 2), ((3, 9), 1), ((1, 4, 4, 9, 6), 3)])
    seen = audit(made)
    assert (seen.contexts, seen.distinct_sentences, seen.distinct_prefixes, seen.first_words) == (4, 4, 3, 2)
    assert seen.positions == {1: 1, 2: 2, 3: 1}
    assert seen.lengths == {2: 1, 3: 1, 4: 1, 5: 1}
    assert seen.padded_shape == (4, 5)
    assert seen.unseen_tokens == 2


def test_matched_positions_are_equally_frequent_in_both_arms():
    made = make_set([((1, 9), 1), ((1, 1, 9), 2), ((2, 2, 9), 2), ((1, 1, 1, 9), 3), ((3, 3, 9), 2)])
    target_rows, preceding_rows = match_positions(made)
    # Position 1: target in row 0, preceding in rows 1, 2, 4. Position 2: target in rows 1, 2, 4, preceding in 3.
    assert target_rows == [0, 1]
    assert preceding_rows == [1, 3]


def test_a_bidirectional_model_sees_whole_contexts():
    rows = (
        Context("I saw her.", (40, 2497, 607, 13), 2),
        Context("I saw her go.", (40, 2497, 607, 467, 13), 2),
        Context("I saw her.", (40, 2497, 607, 13), 2),
    )
    contexts = ContextSet(rows, " her", 607, "three", "0" * 64)
    assert (audit(contexts).distinct_prefixes, audit(contexts).unseen_tokens) == (1, 4)
    found = audit(contexts, causal=False)
    assert (found.distinct_prefixes, found.unseen_tokens) == (2, 0)
    for how in ("auto", "prefix"):
        clusters, kind = clusters_of(contexts, how, causal=False)
        assert kind == "whole context"
        assert clusters[0] == clusters[2] != clusters[1]
    assert clusters_of(contexts, "first-word", causal=False) == clusters_of(contexts, "first-word")


def test_clusters_by_the_token_before_the_target_and_by_its_place():
    rows = (
        Context("I saw her.", (40, 2497, 607, 13), 2),
        Context("We saw her.", (1135, 2497, 607, 13), 2),
        Context("Then we saw her.", (6423, 356, 2497, 607, 13), 3),
        Context(" her", (607,), 0),
    )
    contexts = ContextSet(rows, " her", 607, "four", "0" * 64)
    before, kind = clusters_of(contexts, "preceding-token")
    assert (kind, before[0] == before[1] == before[2] != before[3]) == ("preceding token", True)
    places, kind = clusters_of(contexts, "position")
    assert (kind, places[0] == places[1], len(set(places))) == ("position", True, 3)
    assert clusters_of(contexts, "preceding-token", causal=False)[1] == "preceding token"


# A target of several tokens -------------------------------------------------------------------------


def test_another_word_takes_the_place_of_the_whole_target():
    context = Context("t", (4, 5, 7, 8, 9, 6), 4, target_length=3)
    other = context.continued(1, word=" him", whole=True)
    assert (other.token_ids, other.target_index, other.target_start, other.prefix) == ((4, 5, 1, 6), 2, 2, (4, 5))
    assert context.continued(1, word=" him").token_ids == (4, 5, 1)
    same = context.continued(7, 8, 9, word=" target", whole=True)
    assert (same.token_ids, same.target_index, same.target_length) == (context.token_ids, 4, 3)
    assert other.continued(2, word=" us", whole=True).token_ids == (4, 5, 2, 6)


def several(rows: list[tuple[tuple[int, ...], int]]) -> ContextSet:
    contexts = tuple(Context(str(n), ids, index, target_length=2) for n, (ids, index) in enumerate(rows))
    return ContextSet(contexts, " t", 9, "made", "0" * 64, earlier=(8,))


def test_what_stands_before_several_tokens_stands_before_the_first():
    made = several([((8, 9), 1), ((1, 8, 9), 2), ((1, 2, 8, 9, 5), 3), ((3, 2, 8, 9), 3), ((1, 2, 3, 8, 9), 4)])
    assert made.preceding_indices == [-1, 0, 1, 1, 2]
    assert (made.target_ids, made.asked) == ((8, 9), " t")
    before, _ = clusters_of(made, "preceding-token")
    assert before == ("none", "before 000001", "before 000002", "before 000002", "before 000003")
    assert clusters_of(made, "prefix")[0][2] == "prefix 000001 000002"
    seen = audit(made)
    assert (seen.distinct_prefixes, seen.unseen_tokens, seen.positions) == (5, 1, {1: 1, 2: 1, 3: 2, 4: 1})
    target_rows, preceding_rows = match_positions(made)
    # Position 1: target in row 0, preceding in rows 2, 3. Position 2: target in row 1, preceding in row 4.
    assert (target_rows, preceding_rows) == ([0, 1], [2, 4])


def test_the_hash_of_tokens_is_as_it_was_for_one_and_knows_several():
    one = make_set([((1, 2, 9), 2), ((3, 9), 1)])
    assert one.tokens_sha256 == sha256(b"[9, [[[1, 2, 9], 2], [[3, 9], 1]]]").hexdigest()
    assert (one.target_ids, one.asked, one.preceding_indices) == ((9,), 9, [1, 0])
    made = several([((1, 8, 9), 2)])
    assert made.tokens_sha256 == sha256(b"[[8, 9], [[[1, 8, 9], 2]]]").hexdigest()
