"""A fingerprint is of the weights and of what is computed, whatever names a release of transformers gives them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import transformers

from qkvcheck.errors import ModelError
from qkvcheck.models.architecture import rope_of
from qkvcheck.models.loading import from_model
from tests.models.test_structure import Numbers

pytestmark = pytest.mark.needs_time  # each builds a model
SIZES = {"hidden_size": 24, "num_attention_heads": 4, "num_hidden_layers": 1, "intermediate_size": 8, "vocab_size": 40}


class Named(Numbers):
    """A tokenizer that can be told apart."""

    backend_tokenizer = None


def hooked(family: str, **fields):
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(family, **SIZES, **fields)
    return from_model(transformers.AutoModelForCausalLM.from_config(config).eval(), Named(), bos="no")


def test_the_name_of_a_head_is_no_part_of_it():
    """embed_out under transformers 4, lm_head under 5: one and the same GPT-NeoX."""
    model = hooked("gpt_neox")
    names = ("lm_head", "embed_out")
    now = next(name for name in names if hasattr(model.model, name))
    before, head = model.fingerprint, getattr(model.model, now)
    delattr(model.model, now)
    model.model.somehow = head
    model.model.get_output_embeddings = lambda: head
    assert replace(model).fingerprint == before
    with torch.no_grad():
        head.weight[0, 0] += 1
    assert replace(model).fingerprint != before


@pytest.mark.parametrize("name", ["head_dim", "num_key_value_heads"])
def test_what_a_release_leaves_to_be_worked_out_is_worked_out(name):
    model = hooked("llama", num_key_value_heads=4)
    before = model.fingerprint
    assert getattr(model.model.config, name) is not None
    setattr(model.model.config, name, None)
    assert replace(model).fingerprint == before


def test_two_bases_of_gemma_3_are_read_from_either_release():
    class Old:
        rope_theta, rope_local_base_freq, rope_scaling = 1e6, 10_000, None

    class New:
        rope_parameters = {  # noqa: RUF012
            "sliding_attention": {"rope_type": "default", "rope_theta": 10_000},
            "full_attention": {"rope_type": "default", "rope_theta": 1e6},
        }

    assert rope_of(Old) == rope_of(New)


@pytest.mark.parametrize("family", ["llama", "qwen2", "mistral"])
def test_query_heads_that_do_not_share_the_key_heads(family):
    with pytest.raises(ModelError, match="names 4 query heads and 3 key heads, which don't go into them evenly"):
        hooked(family, num_key_value_heads=3, head_dim=6)
