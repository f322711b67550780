"""Which layer decides in a model of another depth, and what can't be judged at the first layer."""

from __future__ import annotations

import pytest

CLAIMS = """
schema = "qkvcheck/claims/1"
layer = 6
layer_beside = 5
of_layers = 12

[[claim]]
id = "LOW"
statement = "rows are a little alike"
statistic = "row_mean"
direction = "above"
threshold = 0.0
axis = "contexts"
groups = ["Q"]
measures = ["cosine"]
primary = [["Q", "cosine"]]
controls = []
"""
TEST = """
import pytest

@pytest.mark.claim(id="LOW")
def test_low(claim):
    claim.check()
"""


@pytest.fixture
def project(pytester):
    pytester.makefile(".toml", claims=CLAIMS)
    pytester.makefile(".ini", pytest="[pytest]\nqkv_claims = claims.toml\n")
    pytester.makepyfile(test_low=TEST)
    return pytester


def model_of(pytester, depth: int, *, config="GPT2Config", model="GPT2LMHeadModel", names="n_embd n_head n_layer"):
    """Write a model of so many layers, with the embedded model's tokenizer."""
    import shutil

    import transformers

    from qkvcheck.models.loading import embedded_directory

    directory = pytester.path / f"deep{depth}"
    width, heads, layers = names.split()
    fields = {width: 24, heads: 2, layers: depth, "vocab_size": 2048}
    if model == "LlamaForCausalLM":
        fields |= {"intermediate_size": 24, "num_key_value_heads": 1}
    made = getattr(transformers, config)(**fields)
    getattr(transformers, model)(made).save_pretrained(directory)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(embedded_directory() / name, directory / name)
    return directory.name


@pytest.mark.parametrize(("depth", "cells"), [(12, ["L05", "L06"]), (8, ["L04", "L06"]), (4, ["L02"])])
def test_the_same_share_of_the_depth_decides(project, depth, cells):
    name = model_of(project, depth)
    result = project.runpytest(f"--qkv-model={name}", "-v")
    result.assert_outcomes(passed=len(cells))
    decides = {12: "L06", 8: "L04", 4: "L02"}[depth]
    for cell in cells:
        result.stdout.fnmatch_lines([f"*test_low[[]LOW-{cell}-Q[]]*"])
    shown = [line for line in result.stdout.lines if f" {decides} Q" in line]
    assert shown
    assert "[beside]" not in shown[0]
    text = f"as deep in {depth} layers as 6 in 12" if depth != 12 else "layers 5, 6 (zero-based)"
    assert text in result.stdout.str()


def test_shares_on_the_command_line(project):
    name = model_of(project, 8)
    result = project.runpytest(f"--qkv-model={name}", "--qkv-layers=25%,100%", "-v")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*LOW-L02-Q*", "*LOW-L07-Q*"])


@pytest.mark.parametrize("given", ["101%", "%", "-5%", "1e2%", "6-50%"])
def test_a_share_that_is_none(project, given):
    result = project.runpytest(f"--qkv-layers={given}")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*can't be read; give zero-based numbers such as 6, 5,6 or 0-11, or shares*"])


def test_a_model_of_ones_own_of_another_depth(project):
    name = model_of(project, 8)
    project.makeconftest(f"""
import pytest, qkvcheck

@pytest.fixture(scope="session")
def qkv_model():
    return qkvcheck.load_model("{name}")
""")
    result = project.runpytest("--qkv-model=embedded")
    assert "were worked out for embedded, of 12 layers, and qkv_model gives" in result.stdout.str()
    result = project.runpytest("--qkv-model=embedded", "--qkv-layers=4")
    result.assert_outcomes(passed=1)


def test_the_first_layer_of_a_rotary_model(project):
    name = model_of(
        project,
        4,
        config="LlamaConfig",
        model="LlamaForCausalLM",
        names="hidden_size num_attention_heads num_hidden_layers",
    )
    result = project.runpytest(f"--qkv-model={name}", "--qkv-layers=0,2", "-rs")
    result.assert_outcomes(passed=1, skipped=1)
    assert "hang on the token alone" in result.stdout.str()
