"""What stands around every context: the files' own word, the family's, or what was asked for."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from tokenizers.processors import TemplateProcessing

from qkvcheck.capture.hooks import capture, tokens_sha256
from qkvcheck.contexts.corpora import encode_corpus, read_corpus
from qkvcheck.errors import ModelError
from qkvcheck.models.architecture import Architecture
from qkvcheck.models.loading import embedded_directory, load_model
from qkvcheck.models.tokenizers import RecordedEncoder, load_encoder
from qkvcheck.models.tokens.special import special_tokens_of

CAUSAL = Architecture("made-up")
END = "<|endoftext|>"


@pytest.fixture
def directory(tmp_path):
    """A tokenizer's files, to be changed."""
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(embedded_directory() / name, tmp_path / name)
    return tmp_path


def say(directory, **keys):
    path = directory / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))


def surround(directory, single):
    """Let the file put tokens around a text by itself."""
    from tokenizers import Tokenizer

    path = str(directory / "tokenizer.json")
    tokenizer = Tokenizer.from_file(path)
    number = tokenizer.token_to_id(END)
    tokenizer.post_processor = TemplateProcessing(single=single, special_tokens=[(END, number)])
    tokenizer.save(path)


def found(directory, architecture=CAUSAL, **how):
    encoder = load_encoder(directory, named=None, source="made-up", gpt2=False, trust_remote_code=False)
    return encoder, special_tokens_of(encoder, architecture, directory=directory, **how)


@pytest.mark.parametrize("asked", ["auto", "no"])
def test_nothing_says_that_there_is_one(directory, asked):
    _, special = found(directory, asked=asked)
    assert (special.before, special.after, special.text) == ((), (), "")


def test_the_file_puts_one_before_a_text(directory):
    surround(directory, f"{END} $A {END}")
    encoder, special = found(directory)
    assert special.before == (encoder.bos_id,)
    assert special.after == ()  # nothing after it reaches a causal model's target
    assert special.text == END


@pytest.mark.parametrize("said", [True, False])
def test_the_configuration_decides_over_tokenizer_and_family(directory, said):
    say(directory, add_bos_token=said)
    surround(directory, "$A" if said else f"{END} $A")
    _, special = found(directory, Architecture("made-up", bos=not said))
    assert bool(special.before) is said
    assert "tokenizer_config.json" in special.told


@pytest.mark.parametrize("needs", [True, False])
def test_the_family_decides_over_the_tokenizer(directory, needs):
    surround(directory, "$A" if needs else f"{END} $A")
    _, special = found(directory, Architecture("made-up", bos=needs))
    assert bool(special.before) is needs


def test_asked_for(directory):
    encoder, special = found(directory, asked="yes")
    assert special.before == (encoder.bos_id,)
    say(directory, add_bos_token=True)
    assert not found(directory, asked="no")[1]


def test_a_bidirectional_model_reads_both_ends(directory):
    surround(directory, f"{END} $A {END}")
    encoder, special = found(directory, Architecture("made-up", causal=False))
    assert (special.before, special.after) == ((encoder.bos_id,), (encoder.bos_id,))
    assert special.text == f"{END} ... {END}"


def test_asked_for_and_there_is_none(directory):
    with pytest.raises(ModelError, match=r"puts no token before a text; leave the option out\.$"):
        found(directory, Architecture("made-up", causal=False), asked="yes")
    say(directory, bos_token=None)
    encoder, _ = found(directory)
    if encoder.bos_id is None:
        with pytest.raises(ModelError, match=r"has no beginning token; leave the option out\.$"):
            found(directory, asked="yes")


def test_recorded_words_know_the_end_of_text_alone():
    assert not special_tokens_of(RecordedEncoder(), CAUSAL)
    assert special_tokens_of(RecordedEncoder(), CAUSAL, asked="yes").before == (50256,)


def test_capture_puts_it_before_every_context(embedded):
    """Against a plain forward of one sentence at a time, with the token put there by hand."""
    hooked = load_model("embedded", bos="yes")
    contexts = encode_corpus(read_corpus("replication"), hooked.encoder, target=" her")
    (first,) = hooked.special.before
    for exact in (False, True):
        got = capture(hooked, contexts, layers=[6], exact_layout=exact)
        for row, context in zip(got.at(6), contexts.contexts[:9], strict=False):
            kept = []
            attention = hooked.model.transformer.h[6].attn
            handle = attention.c_attn.register_forward_hook(lambda _m, _i, out, kept=kept: kept.append(out))
            with torch.no_grad():
                hooked.model(torch.tensor([[first, *context.token_ids]]))
            handle.remove()
            np.testing.assert_allclose(row, kept[0][0, context.target_index + 1].numpy(), rtol=0, atol=1e-5)
    everywhere = capture(hooked, contexts, layers=[6], positions="all")
    assert everywhere.values.shape[2] == 8  # the token itself is no context's own position
    np.testing.assert_allclose(everywhere.at(6)[0, contexts.contexts[0].target_index], got.at(6)[0], rtol=0, atol=1e-5)
    plain = capture(embedded, contexts, layers=[6])
    assert np.abs(plain.values - got.values).max() > 0.1
    assert plain.provenance["recipe"] != got.provenance["recipe"]
    assert tokens_sha256(embedded, contexts) == contexts.tokens_sha256 != tokens_sha256(hooked, contexts)
