"""The plugin in projects of others: without claims file, switched off, and where nothing is its own."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.usefixtures("loaded")


def test_a_project_without_claims_file(pytester):
    """The README's example for other projects: a claim made by its marker, on a model in memory."""
    pytester.makeconftest(
        """
        import pytest
        from transformers import AutoModelForCausalLM, AutoTokenizer
        import qkvcheck
        from qkvcheck.models.loading import embedded_directory

        @pytest.fixture(scope="session")
        def qkv_model():
            place = embedded_directory()
            model = AutoModelForCausalLM.from_pretrained(place)
            return qkvcheck.from_model(model, AutoTokenizer.from_pretrained(place), name="mine")
        """
    )
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.claim(id="keys-stable", layer=9, group="K", statistic="row_cosine", above=0.1)
        def test_keys_are_stable(claim, activations):
            claim.check(activations)
        """
    )
    result = pytester.runpytest("-v", "--qkv-model", "embedded")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*test_keys_are_stable?keys-stable-L09-K?*", "model     mine (given in memory)"])


def test_without_the_plugin_pytest_is_whole(pytester):
    pytester.makepyfile(
        """
        import pytest

        def test_it():
            pass

        @pytest.mark.claim(id="x", layer=6, group="K", statistic="row_mean", above=0.9)
        def test_claim(claim):
            pass
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:qkvcheck")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["E *fixture 'claim' not found"])
    assert "INTERNALERROR" not in result.stdout.str()
    assert "qkv" not in pytester.runpytest_subprocess("-p", "no:qkvcheck", "--help").stdout.str()


def test_silent_where_nothing_is_ours(pytester):
    pytester.makepyfile("def test_it():\n    pass")
    result = pytester.runpytest()
    result.assert_outcomes(passed=1)
    assert "claims" not in result.stdout.str()
    assert not any(line.startswith("qkvcheck") for line in result.outlines)


def test_help_markers_and_fixtures(pytester):
    text = " ".join(pytester.runpytest("--help").stdout.str().split())
    for part in ("--qkv-model=MODEL", "Default: auto. Also QKV_MODEL, ini qkv_model.", "--qkv-trust-remote-code"):
        assert part in text
    assert "@pytest.mark.claim(id, layer, head, group, measure" in pytester.runpytest("--markers").stdout.str()
    fixtures = pytester.runpytest("--fixtures").stdout.str()
    for name in ("qkv_model", "contexts", "samples", "activations", "controls", "claim"):
        assert f"\n{name} " in fixtures
