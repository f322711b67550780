"""Claims files: a mistake is one line and exit code 4, and the claims of any project are treated alike."""

from __future__ import annotations

import json

import pytest

from tests.plugin.conftest import CLAIMS

pytestmark = pytest.mark.usefixtures("loaded")

LOW = 'primary = [["Q", "cosine"]]\ncontrols = ["shuffled"]'
MISTAKES = {
    "misspelt-key": (LOW, LOW.replace("primary", "primay"), "claim 'LOW': key 'primay' is not known.", "primary"),
    "misspelt-top-key": ("layer = 6", "layr = 6", "key 'layr' is not known.", "layer"),
    "misspelt-word-list": (
        "layer_beside = 5", 'layer_beside = 5\n[words]\npronons = [" him"]', "words: key 'pronons' is not known.",
        "pronouns",
    ),
    "no-cell-decides": (
        LOW, 'controls = ["shuffled"]',
        "no cell decides claim LOW; name one or more as primary, of: Q cosine, K cosine.", None,
    ),
    "no-cell-of-its-own-decides": (
        LOW, 'primary = [["QK", "cosine"]]', "claim LOW names 'QK cosine' as primary, which is none of its cells",
        None,
    ),
    "id-twice": ('id = "HIGH"', 'id = "LOW"', "claim LOW is on file already; rename it.", None),
    "unknown-control": (
        LOW, LOW.replace("shuffled", "shufled"), "claim LOW: control 'shufled' is not known;", "shuffled",
    ),
    "unknown-statistic": (
        'statistic = "row_mean"', 'statistic = "row_men"', "claim LOW: statistic 'row_men' is not known;", "row_mean",
    ),
    "bound-is-a-text": (
        "threshold = 0.2", 'threshold = "0.2"', "claim 'LOW': threshold is '0.2'; it has to be a number.", None,
    ),
    "unknown-direction": ('"above"', '"abov"', "claim 'LOW': direction is 'abov'; it has to be one of above,", "above"),
    "unknown-capture": (
        LOW, f'{LOW}\ncapture = "word"', "claim 'LOW': capture is 'word'; it has to be one of", "words",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line(project, mistake):
    right, wrong, message, near = MISTAKES[mistake]
    assert right in CLAIMS
    (project.path / "claims.toml").write_text(CLAIMS.replace(right, wrong, 1))
    result = project.runpytest("--qkv-untrained-seeds", "0")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in [*result.errlines, *result.outlines] if line.startswith("ERROR: ")]
    assert message in line
    assert line.endswith(f" Did you mean {near!r}?") if near else "Did you mean" not in line
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize("mistake", ["unknown-control", "unknown-statistic"])
@pytest.mark.long
def test_in_workers_an_unknown_name_breaks_the_tests_of_its_claim(project, mistake):
    """There the controller knows no test; a name must not be left out in silence."""
    right, wrong, message, near = MISTAKES[mistake]
    (project.path / "claims.toml").write_text(CLAIMS.replace(right, wrong, 1))
    result = project.runpytest("--qkv-untrained-seeds", "0", "-k", "LOW", "-n2")
    assert (result.ret, result.parseoutcomes()) == (pytest.ExitCode.USAGE_ERROR, {"errors": 4})
    told = [line for line in result.outlines if line.startswith(message)]
    assert len(told) == 4
    assert all(line.endswith(f" Did you mean {near!r}?") for line in told)
    assert "Traceback" not in result.stdout.str()


def test_the_same_file_without_a_mistake(project):
    result = project.runpytest("--qkv-untrained-seeds", "0", "-k", "LOW")
    assert (result.ret, result.parseoutcomes()["passed"]) == (0, 4)


NAMED = """
[[claim]]
id = "{id}"
statement = "rows are a little alike"
statistic = "row_mean"
direction = "above"
threshold = {threshold}
axis = "contexts"
groups = ["Q"]
measures = ["cosine"]
primary = [["Q", "cosine"]]
"""


def test_names_of_our_own_claims_mean_nothing_in_another_project(pytester):
    """A claim named B4 is no claim over all layers, P3a is not cited, and the table has the order of the file."""
    names = {"Z1": 0.2, "P9": 0.1, "B4": 0.2, "P3a": 0.999, "B9": 0.1}
    claims = "".join(NAMED.format(id=name, threshold=threshold) for name, threshold in names.items())
    (pytester.path / "claims.toml").write_text(f'schema = "qkvcheck/claims/1"\nlayer = 6\n{claims}')
    pytester.makeini("[pytest]\nqkv_claims = claims.toml\nqkv_baselines = recorded\nqkv_model = embedded\n")
    tests = [f"@pytest.mark.claim(id={name!r})\ndef test_{name}(claim):\n    claim.check()\n" for name in names]
    pytester.makepyfile("\n".join(["import pytest", *tests]))
    files = ("--qkv-json", "r.json", "--qkv-report", "r.html")
    result = pytester.runpytest("-v", "--qkv-update=all", *files)
    assert result.ret == 0
    verdicts = {v["claim"]: v for v in json.loads((pytester.path / "r.json").read_text())["verdicts"]}
    assert {name: v["verdict"] for name, v in verdicts.items()} == {
        name: "REFUTED" if threshold == 0.999 else "SUPPORTED" for name, threshold in names.items()
    }
    assert [name for name, v in sorted(verdicts.items(), key=lambda item: item[1]["order"])] == list(names)
    assert {(v["kind"], v["estimate"], tuple(v["not_independent_of"])) for v in verdicts.values()} == {
        ("interval", verdicts["Z1"]["estimate"], ())
    }
    rows = [line.split()[0] for line in result.outlines if line.endswith("rows are a little alike")]
    assert rows == list(names)
    assert result.stdout.str().count("L06 Q cosine") == len(names)
    assert "not independent evidence" not in result.stdout.str()
    page = (pytester.path / "r.html").read_text()
    assert "Phân Tích" not in page
    assert "over all layers" not in page
    recorded = json.loads((pytester.path / "recorded" / "embedded.json").read_text())["verdicts"]
    assert {key.partition("-")[0]: entry["estimate"] is not None for key, entry in recorded.items()} == dict.fromkeys(
        names, True
    )
    assert pytester.runpytest().ret == 0
