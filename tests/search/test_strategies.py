"""Generated contexts: canonical, with the target once, at every allowed position, and shrinking to short sentences."""

from __future__ import annotations

import os
from collections import Counter

import pytest
from hypothesis import find, given, settings
from transformers import AutoTokenizer, GPT2TokenizerFast

from qkvcheck.errors import ContextError
from qkvcheck.models.loading import embedded_directory
from qkvcheck.models.tokenizers import PretrainedEncoder, RecordedEncoder
from qkvcheck.search.strategies import WORDINGS, context_of, context_sets, contexts, encoder_of, pick, register_profile

QUIET = settings(max_examples=300, deadline=None, database=None, derandomize=True)
GPT2_TOKENIZER = os.environ.get("QKV_GPT2_TOKENIZER")


@pytest.fixture(scope="session", params=["embedded", "recorded"])
def encoder(request, embedded):
    return embedded.encoder if request.param == "embedded" else RecordedEncoder()


def positions(strategy, encoder, *, examples=300) -> Counter[int]:
    """Count where the target stood, and check each context on the way."""
    found: Counter[int] = Counter()

    @settings(QUIET, max_examples=examples)
    @given(strategy)
    def check(context):
        assert encoder.encode(context.text) == list(context.token_ids)
        assert encoder.decode(context.token_ids) == context.text
        target_id = context.token_ids[context.target_index]
        assert context.token_ids.count(target_id) == 1
        assert encoder.decode([target_id]) == " her"
        found[context.target_index] += 1

    check()
    return found


@pytest.mark.parametrize("words", WORDINGS)
def test_contexts_are_canonical_and_reach_every_position(encoder, words):
    found = positions(contexts(encoder, " her", words=words), encoder, examples=1000)
    assert sorted(found) == list(range(1, 13))
    assert min(found.values()) >= 0.004 * found.total()  # tokens in any order are seldom canonical when there are many


@pytest.mark.skipif(GPT2_TOKENIZER is None, reason="needs QKV_GPT2_TOKENIZER, a folder with GPT-2's tokenizer")
@pytest.mark.parametrize("words", WORDINGS)
def test_ten_thousand_draws_of_the_real_tokenizer(words):
    tokenizer = GPT2TokenizerFast.from_pretrained(GPT2_TOKENIZER)
    found = positions(
        contexts(tokenizer, " her", words=words), PretrainedEncoder(tokenizer, name="GPT-2"), examples=10_000
    )
    assert found.total() >= 10_000
    assert sorted(found) == list(range(1, 13))
    assert min(found.values()) >= 0.01 * found.total()


def test_lengths_are_kept(embedded):
    @QUIET
    @given(contexts(embedded.encoder, " her", before=(3, 5), after=2))
    def check(context):
        assert 3 <= context.target_index <= 5
        assert len(context.token_ids) == context.target_index + 3
        assert context.text.endswith(".")

    check()


def test_positions_can_be_held(embedded):
    @QUIET
    @given(contexts(embedded.encoder, " her", before=(2, 4), after=1, fixed={-1: " gave", 1: " again"}))
    def check(context):
        assert " gave her again" in context.text

    check()


def test_own_words_alone(embedded):
    @QUIET
    @given(contexts(embedded.encoder, " her", words=["king", "gave"], after=(0, 2)))
    def check(context):
        assert set(context.text.lower().split()) <= {"king", "gave", "her"}

    check()


@pytest.mark.parametrize(("before", "sentence"), [((2, 12), "He gave her"), ((4, 12), "The young doctor gave her")])
def test_sentences_shrink_to_short_ones(embedded, before, sentence):
    strategy = contexts(embedded.encoder, " her", before=before)
    assert find(strategy, lambda _: True, settings=QUIET).text == sentence


def test_sentences_shrink_to_what_matters(embedded):
    found = find(contexts(embedded.encoder, " her"), lambda c: "king" in c.text, settings=QUIET)
    assert found.target_index <= 5
    assert found.text.endswith("gave her")


def test_sets_differ_left_of_the_target(embedded):
    @settings(QUIET, max_examples=20)
    @given(context_sets(embedded.encoder, " her", size=(20, 30)))
    def check(drawn):
        assert 20 <= len(drawn) <= 30
        assert len({context.prefix for context in drawn.contexts}) == len(drawn)
        assert drawn.target == " her"

    check()


def test_health_checks_pass_with_defaults(embedded):
    """No setting is changed: hypothesis would fail a strategy that is slow, large or filters too much."""

    @given(contexts(embedded.encoder, " her"), context_sets(embedded.encoder, " her"))
    @settings(deadline=None, max_examples=30)
    def check(context, drawn):
        assert context.text
        assert drawn.contexts

    check()


def test_draws_do_not_depend_on_the_source_that_is_loaded(embedded):
    """Hypothesis takes numbers from loaded modules; ours are drawn in steps too small for them."""
    asked = []

    def draw(strategy):
        asked.append(strategy)
        return 0

    tokens = embedded.encoder.plain_tokens
    assert pick(draw, tokens) == tokens[0]
    assert len(asked) == 2
    assert all(int(repr(s).rpartition("=")[2].strip(")")) < 100 for s in asked)


def test_pick_reaches_every_item_evenly():
    from itertools import product

    items = list(range(130))
    counts: Counter[int] = Counter()
    for first, second in product(range(64), range(6)):
        steps = iter([first, second])
        counts[pick(lambda s, steps=steps: next(steps) % (int(repr(s).rpartition("=")[2].strip(")")) + 1), items)] += 1
    assert sorted(counts) == items
    assert max(counts.values()) <= 2 * min(counts.values())


def test_contexts_print_as_sentences(embedded):
    context = context_of("He gave her a coat.", embedded.encoder, " her")
    assert repr(context) == "Context('He gave her a coat.', target_index=2)"

    @settings(QUIET, print_blob=False)
    @given(contexts(embedded.encoder, " her", before=(2, 12)))
    def fail(context):
        raise AssertionError(context.text)

    with pytest.raises(AssertionError) as caught:
        fail()
    assert "Context('He gave her', target_index=2)" in "\n".join(caught.value.__notes__)


def test_a_transformers_tokenizer_will_do():
    tokenizer = AutoTokenizer.from_pretrained(embedded_directory())
    assert find(contexts(tokenizer, " her", before=2), lambda _: True, settings=QUIET).text == "He gave her"


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"before": (3, 2)}, "before is (3, 2)"),
        ({"after": -1}, "after is -1"),
        ({"words": "noise"}, "words 'noise' is not known"),
        ({"words": ["zyzzyva"]}, "word 'zyzzyva' is not one token"),
        ({"words": ["her"]}, "is the target"),
        ({"fixed": {0: " gave"}}, "fixed position 0"),
        ({"fixed": {-2: " gave"}}, "before begins at 1; let it begin at 2 or more"),
    ],
)
def test_mistakes_are_one_line(embedded, given_, message):
    with pytest.raises(ContextError) as caught:
        contexts(embedded.encoder, " her", **given_)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_tokenizer_is_named():
    with pytest.raises(ContextError, match="str is no tokenizer"):
        encoder_of("gpt2")


def test_profile_has_no_deadline_and_repeats_itself():
    register_profile("qkvcheck-test")
    profile = settings.get_profile("qkvcheck-test")
    assert profile.derandomize
    assert profile.deadline is None
    assert list(profile.suppress_health_check) == []


@pytest.mark.parametrize("words", WORDINGS)
def test_a_target_of_several_tokens_stays_whole(embedded, words):
    encoder, target = embedded.encoder, " unbelievably"
    ids = tuple(encoder.encode(target))
    found: Counter[int] = Counter()

    @settings(QUIET, max_examples=100)
    @given(contexts(encoder, target, before=(1, 4), after=(0, 3), words=words))
    def check(context):
        assert encoder.encode(context.text) == list(context.token_ids)
        assert context.text.count(target) == 1
        assert context.token_ids[context.target_start : context.target_index + 1] == ids
        assert len(context.token_ids) - context.target_index - 1 <= 3
        found[len(context.prefix)] += 1

    check()
    assert sorted(found) == [1, 2, 3, 4]


def test_fixed_places_and_sets_count_from_the_whole_target(embedded):
    encoder, target = embedded.encoder, " unbelievably"
    fixed = {-1: " saw", 1: " now"}
    drawn = find(
        contexts(encoder, target, before=3, after=2, fixed=fixed), lambda _: True, settings=settings(database=None)
    )
    place = drawn.text.index(target)
    assert drawn.text[:place].endswith(" saw")
    assert drawn.text[place + len(target) :].startswith(" now")
    one = find(context_sets(encoder, target, size=3), lambda _: True, settings=settings(database=None))
    assert one.target_ids == tuple(encoder.encode(target))
    assert context_of(drawn.text, encoder, target) == drawn
