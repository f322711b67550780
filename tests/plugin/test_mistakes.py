"""A user's mistake: one line with what was given and what to do, exit code 4, no traceback, plain and with xdist."""

from __future__ import annotations

import fnmatch

import pytest

from qkvcheck.models.loading import embedded_directory
from tests.plugin.conftest import WORKERS

pytestmark = pytest.mark.usefixtures("loaded")

EXPERIMENT = """
    import pytest

    @pytest.mark.claim(id="alike", group="Q", statistic="row_mean", above=0.2)
    def test_alike(claim, activations):
        claim.check(activations)
"""


@pytest.fixture
def project(pytester, monkeypatch):
    """A project with one experiment and several unusable files."""
    for name in ("QKV_MODEL", "QKV_CORPUS", "QKV_GPT2_TOKENIZER"):
        monkeypatch.delenv(name, raising=False)
    pytester.makepyfile(EXPERIMENT)
    root = pytester.path
    (root / "missing.txt").write_text("We saw her again\nWe saw him again\n")
    (root / "twice.txt").write_text("We saw her again\nThey gave her back her book\n")
    (root / "empty.txt").write_text("\n")
    (root / "utf16.txt").write_bytes("We saw her\n".encode("utf-16"))
    bare = root / "bare"
    bare.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (bare / name).write_bytes((embedded_directory() / name).read_bytes())
    return pytester


MISTAKES = {
    "unknown-model-directory": (
        ["--qkv-model", "./nowhere"],
        "model directory './nowhere' does not exist; give an existing",
    ),
    "no-safetensors": (["--qkv-model", "bare"], "holds no model.safetensors; weights are read from safetensors only"),
    "seed-of-the-twin": (["--qkv-model", "gpt2#untrained=x"], "the seed must be a whole number from 0"),
    "seed": (["--qkv-seed", "seven"], "--qkv-seed 'seven' is not a whole number from 0"),
    "target-missing": (
        ["--qkv-corpus", "missing.txt"],
        "missing.txt, line 2: target ' her' (token 268) does not occur",
    ),
    "target-twice": (["--qkv-corpus", "twice.txt"], "twice.txt, line 2: target ' her' occurs 2 times"),
    "target-of-two-tokens": (
        ["--qkv-target", " her him"],
        "made for the target ' her' and don't all hold ' her him'",
    ),
    "empty-corpus": (["--qkv-corpus", "empty.txt"], "corpus 'empty.txt' holds no sentence"),
    "corpus-not-utf8": (
        ["--qkv-corpus", "utf16.txt"],
        "corpus 'utf16.txt' is not UTF-8 but UTF-16; save the file as UTF-8",
    ),
    "no-corpus": (
        ["--qkv-corpus", "none.txt"],
        "corpus 'none.txt' can't be read: it does not exist; allowed are replication, balanced",
    ),
    "layer-out-of-range": (
        ["--qkv-layers", "12"],
        "layer 12 does not exist in embedded; allowed are 0 to 11 (layers count",
    ),
    "head-out-of-range": (
        ["--qkv-heads", "2-4"],
        "head 4 does not exist in embedded; allowed are 0 to 3 (heads count from 0)",
    ),
    "heads-unreadable": (["--qkv-heads", "last"], "heads 'last' can't be read; give a whole number from 0 to 1023"),
    "layers-unreadable": (["--qkv-layers", "six"], "layers 'six' can't be read"),
    "unknown-device": (["--qkv-device", "tpu9"], "device 'tpu9' is not known; allowed are cpu"),
    "unknown-dtype": (["--qkv-dtype", "int3"], "dtype 'int3' is not known; allowed: float32"),
    "results-nowhere": (["--qkv-json", "no/such/folder/r.json"], "can't be written: there is no folder"),
    "unknown-update": (["--qkv-update", "some"], "--qkv-update 'some' is not known; allowed: new or all"),
}


@WORKERS
@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake(project, mistake, workers):
    arguments, message = MISTAKES[mistake]
    if "--qkv-model" not in arguments:
        arguments = ["--qkv-model", "embedded", *arguments]
    result = project.runpytest(*arguments, *workers)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    errors = [line for line in [*result.errlines, *result.outlines] if line.startswith("ERROR: ")]
    assert len(errors) == 1
    assert message in errors[0]
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()


def test_the_same_project_runs_without_a_mistake(project):
    result = project.runpytest("--qkv-model", "embedded")
    assert result.ret == 0
    assert "1 supported (untrained networks too)" in result.stdout.str()
    assert "gate" not in result.stdout.str()


def test_environment_is_checked_too(project, monkeypatch):
    monkeypatch.setenv("QKV_MODEL", "./nowhere")
    result = project.runpytest()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: model directory './nowhere' does not exist*"])


def test_collect_only_loads_nothing(project):
    result = project.runpytest("--collect-only", "-q", "--qkv-model", "./nowhere")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*test_alike?alike-L06-Q?"])


GOOD_AND_BAD = """
    import pytest

    @pytest.mark.claim({marker})
    def test_bad(claim):
        pass

    @pytest.mark.claim(id="alike", group="Q", statistic="row_mean", above=0.2)
    def test_good(claim):
        claim.check()

    def test_other():
        pass
"""


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ('id="alike", row=1', "can't have 'row'; allowed: id, layer"),
        ('id="alike", grop="K"', "can't have 'grop'; allowed: id, layer, group, *. Did you mean 'group'?"),
        ('"P3a"', "takes keywords only"),
        ('id="a", statistic="variance", group="QQ"', "one of above=, at_least= and at_most="),
    ],
)
def test_marker_that_makes_no_sense(pytester, marker, message):
    """Its own test is broken, and says why in one line; the others run."""
    pytester.makepyfile(GOOD_AND_BAD.format(marker=marker))
    result = pytester.runpytest("--qkv-model", "embedded", "--qkv-controls", "claim", "--qkv-untrained-seeds", "0")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.parseoutcomes() == {"passed": 2, "errors": 1}
    told = result.stdout.str().partition("ERROR at setup of test_bad[marker]")[2].partition("\n===")[0]
    (line,) = [line for line in told.splitlines()[1:] if line]
    assert fnmatch.fnmatchcase(line, f"*{message}*")
    assert "Traceback" not in result.stdout.str()


def test_claim_without_a_marker(pytester):
    pytester.makepyfile("def test_it(claim):\n    pass")
    result = pytester.runpytest("--qkv-model", "embedded")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*the claim fixture needs a marker such as @pytest.mark.claim(id=*"])


def test_claims_file_that_is_not_there(pytester):
    pytester.makeini("[pytest]\nqkv_claims = none.toml")
    result = pytester.runpytest()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: claims file *none.toml* can't be read*"])


def test_no_claims_file_is_told_once_and_before_the_first_test(pytester):
    pytester.makepyfile(GOOD_AND_BAD.format(marker='id="P3a"'))
    result = pytester.runpytest("--qkv-model", "embedded")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    lines = [line for line in result.stderr.lines if line]
    assert len(lines) == 1
    assert "claim 'P3a' is not on file (there: none, for no claims file is set with qkv_claims)" in lines[0]
