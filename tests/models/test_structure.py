"""Families that nobody wrote a file for: found by structure, told as a layout, or refused in one line."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers

from qkvcheck.capture.hooks import capture, check_layout
from qkvcheck.errors import CaptureError, ModelError
from qkvcheck.models.loading import HookedModel, from_model, load_model, untrained_twin
from qkvcheck.models.structure import found_architecture, parse_layout
from qkvcheck.settings import OPTIONS
from tests.models.families import CASES, Case, Pads, build, contexts_of
from tests.models.test_families import LACKING, LINE

pytestmark = [
    pytest.mark.needs_time,
    pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning"),  # made by transformers 4
]
REFUSED = {
    "codegen": "h.0.attn was tried, and none of them gives what the model computes",
    "mpt, clipped": "blocks.0.attn was tried, and none of them",
    "olmo, clipped": "layers.0.self_attn was tried, and none of them",
    "albert": "encoder.albert_layer_groups holds 2 layers, and the model tells attention of 4",
    "albert, two within a layer": "holds 2 layers, and the model tells attention of 6",
}
"""What structure does not tell, and why: an order of its own, clipping, modules that run several times."""
UNPROVEN = {"phi, normed", "stablelm, normed", "cohere, normed"}
"""Whose norm subtracts a mean: what comes between is no factor, and is refused at the first capture."""
HERE = [case for case in CASES if case.name not in LACKING[LINE]]
CONTEXTS = contexts_of([[1, 2, 3, 4], [5, 6, 7]])


def unknown(case: Case) -> HookedModel:
    """Return a case's model with the layout that structure gives."""
    hooked = build(case, "eager")
    return replace(hooked, architecture=found_architecture(hooked.model))


@pytest.mark.parametrize("case", [case for case in HERE if case.name not in REFUSED], ids=lambda case: case.name)
def test_structure_gives_what_the_family_says(case: Case):
    known, found = build(case, "eager"), unknown(case)
    config = known.model.config
    assert found.architecture.heads(config) == known.architecture.heads(config)
    assert found.architecture.causal == known.architecture.causal
    assert not found.architecture.trie
    if case.name in UNPROVEN:
        with pytest.raises(CaptureError, match="as queries is not what attention multiplies"):
            check_layout(found)
        return
    wanted, got = (capture(one, CONTEXTS, layers=range(one.depth), exact_layout=True).values for one in (known, found))
    assert np.array_equal(got, wanted)


@pytest.mark.parametrize("name", REFUSED)
def test_what_structure_does_not_tell_is_one_line(name):
    case = next(case for case in CASES if case.name == name)
    with pytest.raises(ModelError) as caught:
        unknown(case)
    told = str(caught.value)
    assert REFUSED[name] in told
    assert told.startswith(f"model family {case.family!r} is not known to qkvcheck")
    assert "--qkv-layout 'layers=model.layers attention=self_attn names=" in told
    assert "--qkv-activations" in told
    assert "\n" not in told
    assert len(told) < 500


SMALL = {"vocab_size": 40, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4}


def saved(path, family: str, **options) -> str:
    """Write a small random model of a family and a tokenizer of numbers; return the directory."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    torch.manual_seed(2)
    config = transformers.AutoConfig.for_model(family, **{**SMALL, **options})
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(path)
    backend = Tokenizer(models.WordLevel({str(n): n for n in range(40)}, unk_token="0"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="0").save_pretrained(path)
    return str(path)


def test_a_directory_of_an_unknown_family(tmp_path):
    """Granite: loaded, said in the origin, captured by equal lengths, and its twin drawn."""
    place = saved(tmp_path / "m", "granite", num_key_value_heads=2, intermediate_size=28)
    hooked = load_model(place)
    assert hooked.architecture.family == "granite"
    assert hooked.origin.endswith(
        "; layout found by structure: layers=layers attention=self_attn names=q_proj,k_proj,v_proj split=separate"
    )
    assert hooked.heads == {"Q": 4, "K": 2, "V": 2}
    got = capture(hooked, CONTEXTS, layers=[1])
    assert got.provenance["layout"] == "equal lengths"
    np.testing.assert_allclose(
        got.values, capture(hooked, CONTEXTS, layers=[1], exact_layout=True).values, rtol=0, atol=1e-5
    )
    twin = untrained_twin(hooked, seed=4)
    assert twin.fingerprint != hooked.fingerprint
    assert capture(twin, CONTEXTS, layers=[1]).values.shape == got.values.shape
    assert load_model(place, layout="layers=layers attention=self_attn names=q_proj,k_proj,v_proj").origin.endswith(
        "; layout as told, proven: layers=layers attention=self_attn names=q_proj,k_proj,v_proj split=separate"
    )


@pytest.mark.parametrize(("family", "options"), [("mamba", {"state_size": 4}), ("rwkv", {"attention_hidden_size": 24})])
def test_a_model_without_attention_is_one_line(family, options, tmp_path):
    with pytest.raises(
        ModelError, match="no layer of .* has linear layers called like queries, keys, values"
    ) as caught:
        load_model(saved(tmp_path / "m", family, **options))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "layers= is missing"),
        ("layers=h attention=attn", "names= is missing"),
        ("layers=h attention=attn names=a,b", "split=separate goes with three names"),
        ("layers=h attention=attn names=a split=separate", "split=separate goes with three names"),
        ("layers=h attention=attn names=a,b,c split=blocks", "split=separate goes with three names"),
        ("layers=h attention=attn names=a split=thirds", "split=separate goes with three names"),
        (
            "layers=h layers=h attention=attn names=a,b,c",
            "'layers=h' is not one of layers=, attention=, names=, split=",
        ),
        ("layer=h attention=attn names=a,b,c", "'layer=h' is not one of"),
        ("layers=h[0] attention=attn names=a,b,c", "'h[0]' is no path of modules"),
    ],
)
def test_a_layout_that_can_not_be_read_is_one_line(text, why):
    with pytest.raises(ModelError) as caught:
        parse_layout(text)
    told = str(caught.value)
    assert told.startswith("--qkv-layout ")
    assert why in told
    assert "Give it as in layers=model.layers" in told
    assert len(told) < 500


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "layers=blocks attention=self_attn names=q_proj,k_proj,v_proj",
            "layers=blocks is not in LlamaModel, which has",
        ),
        ("layers=norm attention=self_attn names=q_proj,k_proj,v_proj", "layers=norm is a LlamaRMSNorm and no list"),
        ("layers=layers attention=attn names=q_proj,k_proj,v_proj", "attention=attn is not in LlamaDecoderLayer"),
        (
            "layers=layers attention=self_attn names=q,k,v",
            "names=q is not in LlamaAttention, which has 'q_proj, k_proj",
        ),
        (
            "layers=layers attention=self_attn names=q_proj,v_proj,k_proj",
            "layers.0.self_attn was tried, and none of them gives what the model computes (llama)",
        ),
    ],
)
def test_a_layout_that_is_not_the_models_is_one_line(text, why):
    hooked = build(next(case for case in CASES if case.name == "llama"), "eager")
    with pytest.raises(ModelError) as caught:
        from_model(hooked.model, Numbers(), layout=text)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


class Numbers(Pads):
    """As much of a tokenizer as is asked of one in memory."""

    pad_token_id, eos_token_id, all_special_ids = 0, 0, ()

    def get_vocab(self):
        return {str(n): n for n in range(40)}


def test_exchanged_queries_and_keys_are_seen_before_anything_is_judged():
    """Values alone don't tell; the first capture does, and a run looks before its first experiment."""
    hooked = build(next(case for case in CASES if case.name == "bert"), "eager")
    told = from_model(
        hooked.model,
        Numbers(),
        bos="no",
        layout="layers=encoder.layer attention=attention.self names=key,query,value",
    )
    with pytest.raises(CaptureError, match="as queries is not what attention multiplies"):
        check_layout(told)


def test_the_model_is_left_as_it_was():
    hooked = build(next(case for case in CASES if case.name == "llama"), "sdpa")
    hooked.model.model.layers[1].train()
    found_architecture(hooked.model)
    assert hooked.model.config._attn_implementation == "sdpa"
    assert hooked.model.model.layers[1].mlp.training
    assert not hooked.model.model.layers[0].training
    hooks = [hook for one in hooked.model.modules() for hook in one._forward_hooks.values()]
    assert not [hook for hook in hooks if hook.__module__.startswith("qkvcheck")]  # transformers 5 leaves its own


def test_two_of_a_kind_are_ambiguous():
    """An encoder and a decoder of as many layers: neither is chosen."""
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(
        "bart", vocab_size=40, d_model=24, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=28, decoder_ffn_dim=28,
    )  # fmt: skip
    with pytest.raises(ModelError, match=r"encoder.layers and decoder.layers both hold 2 layers"):
        found_architecture(transformers.AutoModel.from_config(config).eval())


def test_the_option_is_there():
    option = next(one for one in OPTIONS if one.name == "layout")
    assert option.flag == "--qkv-layout"
    assert "found by structure" in option.help
