"""A configuration shrunk: few layers and heads, the same kind of model, and what of it stays."""

from __future__ import annotations

import pytest
import transformers

from qkvcheck.capture.hooks import capture, check_layout
from qkvcheck.errors import ModelError
from qkvcheck.models.architecture import architectures_by_family
from qkvcheck.models.loading import load_model, untrained_twin
from qkvcheck.models.tiny import LAYERS, is_family, shrunk
from tests.models.families import contexts_of

pytestmark = [
    pytest.mark.needs_time,
    pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning"),  # made by transformers 4
]


@pytest.mark.parametrize("family", sorted(architectures_by_family()))
def test_every_family_is_made_in_no_time(family):
    """Of its name alone, with layer 6, and with GPT-2's tokens."""
    hooked = load_model(f"{family}#tiny")
    assert hooked.architecture.family == family
    assert hooked.depth == LAYERS > 6
    assert hooked.is_untrained
    assert hooked.parameters < 50e6
    assert str(hooked.spec) == f"{family}#tiny"
    assert hooked.origin == (f"transformers' usual configuration of {family}, shrunk, weights drawn under seed 0")
    assert hooked.encoder.encode(" her") == [607]
    check_layout(hooked)
    assert capture(hooked, contexts_of([[1, 2, 3]]), layers=[6]).values.any()


@pytest.mark.parametrize(
    ("queries", "keys", "made"), [(32, 8, (8, 2)), (32, 32, (4, 4)), (64, 1, (8, 1)), (8, 4, (4, 2))]
)
def test_the_ratio_of_queries_to_keys_stays_up_to_eight(queries, keys, made):
    small = shrunk(transformers.LlamaConfig(num_attention_heads=queries, num_key_value_heads=keys, head_dim=64))
    assert (small.num_attention_heads, small.num_key_value_heads) == made


def test_what_is_computed_and_the_vocabulary_stay():
    config = transformers.Gemma2Config(vocab_size=123, attn_logit_softcapping=7.0, sliding_window=9)
    small = shrunk(config)
    assert (small.vocab_size, small.attn_logit_softcapping, small.sliding_window) == (123, 7.0, 9)
    assert small.layer_types == config.layer_types[:LAYERS]
    assert config.num_hidden_layers == 26


@pytest.mark.usefixtures("embedded")
def test_a_directory_or_a_name_is_shrunk_with_its_own_tokenizer():
    hooked = load_model("embedded#tiny=3")
    assert (str(hooked.spec), hooked.slug) == ("embedded#tiny=3", "embedded-tiny-3")
    assert hooked.depth == LAYERS
    assert hooked.encoder.name == "embedded"
    twin = untrained_twin(hooked, seed=3)
    assert str(twin.spec) == "embedded#tiny=4"
    assert twin.depth == LAYERS
    assert twin.fingerprint != hooked.fingerprint == load_model("embedded#tiny=3").fingerprint
    assert load_model("gpt2#tiny").fingerprint != load_model("gpt2#tiny=1").fingerprint


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("mamba#tiny", "model family 'mamba' can't be shrunk: its configuration names no layers or no heads"),
        ("llama#tiny=x", "as in llama#tiny=3"),
        ("deepseek_v3#tiny", r"layers.0.self_attn \(DeepseekV3Attention\) has q_a_proj"),
    ],
)
def test_what_can_not_be_shrunk_is_one_line(spec, message):
    with pytest.raises(ModelError, match=message) as caught:
        load_model(spec)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_directory_of_that_name_goes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_family("llama")
    (tmp_path / "llama").mkdir()
    assert not is_family("llama")
