"""Several targets in one run: every claim once for each, on the sentences that hold it; one target changes nothing."""

from __future__ import annotations

import json

import pytest

from qkvcheck.errors import SettingsError
from qkvcheck.plugin.cases import check_targets, target_ids
from qkvcheck.settings import Settings
from tests.plugin.conftest import IN_WORKERS

SUBJECTS = ("The king", "A doctor", "My friend", "Nobody", "The old man", "Everyone", "The teacher", "His brother")
VERBS = ("saw", "gave", "told", "asked")
BOTH = [f"{subject} {verb} her and him today" for subject in SUBJECTS[:4] for verb in VERBS]
HER = [f"{subject} {verb} her again" for subject in SUBJECTS[4:] for verb in VERBS]
HIM = [f"{subject} {verb} him once" for subject in SUBJECTS[4:7] for verb in VERBS]
TWICE = ["He told him that she saw him"]
TWO = ("--qkv-target= her", "--qkv-target= him", "--qkv-corpus=mine.txt")
LOW = ("-k", "LOW-L06-Q")


@pytest.fixture
def mine(project):
    (project.path / "mine.txt").write_text("\n".join([*BOTH, *HER, *HIM, *TWICE]) + "\n")
    (project.path / "her.txt").write_text("\n".join([*BOTH, *HER]) + "\n")
    (project.path / "him.txt").write_text("\n".join([*BOTH, *HIM]) + "\n")
    return project


pytestmark = pytest.mark.usefixtures("loaded")


def read(project, name: str) -> dict:
    return json.loads((project.path / name).read_text())


def estimates(data: dict) -> dict[str, float | None]:
    return {one["key"]: one["estimate"] for one in data["verdicts"]}


# Without a model ------------------------------------------------------------------------------------


def test_ids_name_the_target():
    assert target_ids([" her", " him"]) == ["her", "him"]
    assert target_ids([" her", "her", 607]) == ["_her", "her", "token607"]
    assert target_ids([" ", "\n", "607", 607]) == ["_", "\n", "607", "token607"]


@pytest.mark.parametrize("name", ["activations", "baseline", "compare"])
def test_files_of_one_target_are_refused_for_several(name):
    check_targets(Settings(**{name: "a.json"}))
    check_targets(Settings(further_targets=(" him",)))
    with pytest.raises(SettingsError, match=f"names 2 targets, and the file of --qkv-{name} .* one target"):
        check_targets(Settings(**{name: "a.json"}, further_targets=(" him",)))


# With one -------------------------------------------------------------------------------------------


def test_each_target_is_judged_as_it_is_alone(mine):
    result = mine.runpytest(*TWO, "--qkv-json=r.json", "-v", "--qkv-update=all")
    assert result.ret == 0
    told = result.stdout.str()
    assert "targets ' her', ' him', layers 5, 6" in told
    for name, count in (("her", 32), ("him", 28)):
        assert f"::test_low[LOW-L06-Q-{name}] " in told
        assert f"contexts  mine.txt: {count} of 45 sentences, of them {count} distinct" in told
        assert f"claims: embedded, target ' {name}', mine.txt" in told
    files = {name: read(mine, f"r-embedded-{name}.json") for name in ("her-268", "him-299")}
    assert sorted(path.name for path in (mine.path / "recorded").iterdir()) == [
        "embedded+mine.txt+him-299.json", "embedded+mine.txt.json",
    ]  # fmt: skip
    for (_, data), name, count in zip(files.items(), ("her", "him"), (32, 28), strict=True):
        corpus = data["corpus"]
        assert (corpus["target"], corpus["contexts"], corpus["sentences"]) == (f" {name}", count, 45)
        mine.runpytest(f"--qkv-target= {name}", f"--qkv-corpus={name}.txt", "--qkv-json=alone.json")
        alone = read(mine, "alone.json")
        assert alone["corpus"]["sentences"] is None
        assert estimates(data) == estimates(alone)
        same = ("texts", "sha256", "tokens_sha256", "target_id", "target_indexes")
        assert [corpus[key] for key in same] == [alone["corpus"][key] for key in same]
    her, him = (estimates(data) for data in files.values())
    assert her.keys() == him.keys()
    assert her["LOW-L06-Q"] != him["LOW-L06-Q"]


@pytest.mark.parametrize("workers", [pytest.param((), id="plain"), IN_WORKERS])
def test_the_gate_knows_each_target(mine, workers):
    assert mine.runpytest(*TWO, "--qkv-update=all", *LOW).ret == 0
    path = mine.path / "recorded" / "embedded+mine.txt+him-299.json"
    data = json.loads(path.read_text())
    data["verdicts"]["LOW-L06-Q"]["verdict"] = "REFUTED"
    path.write_text(json.dumps(data))
    result = mine.runpytest(*TWO, *LOW, *workers)
    assert result.ret == 1
    result.assert_outcomes(passed=1, failed=1)
    assert any(line.startswith("FAILED") and "[LOW-L06-Q-him]" in line for line in result.outlines)
    path.unlink()
    told = mine.runpytest(*TWO, "-q", "--qkv-require-baseline", *LOW).stdout.str()
    assert "no verdicts are on record for embedded, target ' him'" in told
    assert "qkvcheck: embedded, target ' her': " in told


def test_one_target_keeps_its_ids_and_files(mine):
    for how in (("--qkv-target= him",), ("--qkv-target= him", "--qkv-target= him")):
        result = mine.runpytest(*how, "--qkv-corpus=him.txt", "-v", "--qkv-json=r.json", "--qkv-update=all", *LOW)
        assert "::test_low[LOW-L06-Q] " in result.stdout.str()
        assert "of 45 sentences" not in result.stdout.str()
        assert read(mine, "r.json")["corpus"]["target"] == " him"
        assert [path.name for path in (mine.path / "recorded").iterdir()] == ["embedded+him.txt+him-299.json"]


def test_environment_and_ini_name_several(mine, monkeypatch):
    ini = mine.path / "tox.ini"
    ini.write_text(ini.read_text() + '\nqkv_target = " her", " him"\nqkv_corpus = mine.txt\n')
    mine.runpytest(*LOW).assert_outcomes(passed=2)
    monkeypatch.setenv("QKV_TARGET", '" him" 268')
    assert "[LOW-L06-Q-token268]" in mine.runpytest(*LOW, "-v").stdout.str()
    mine.runpytest(*LOW, "--qkv-target= him", "--qkv-corpus=him.txt").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            TWO[:2],
            "--qkv-target ' him': 0 of the 54 sentences of replication hold it exactly once (or at their "
            "\"occurrence\"), and 2 are the least; the corpora that come with qkvcheck are made for ' her': name a "
            "file of sentences of your own with --qkv-corpus, or leave this target out.",
        ),
        ((*TWO, "--qkv-target= once upon"), "--qkv-target ' once upon': 0 of the 45 sentences of mine.txt hold it"),
        ((*TWO, "--qkv-target=268"), "names one target of embedded twice, by ' her' and by 268; name it once."),
        (
            (*TWO, "--qkv-limit=17", "--qkv-target= again"),
            "--qkv-target ' again': 1 of the 17 sentences of mine.txt hold it exactly once",
        ),
        ((*TWO, "--qkv-activations=a.npz"), "the file of --qkv-activations holds what was captured at one target"),
        ((*TWO, "--qkv-baseline=b.json"), "--qkv-baseline is the record of one target; without it each has its own;"),
    ],
    ids=["built-in", "not there", "one token twice", "too few", "activations", "baseline"],
)
def test_a_mistake_is_one_line_before_weights_are_read(mine, monkeypatch, arguments, message):
    monkeypatch.setattr("qkvcheck.capture.check_layout", lambda _: pytest.fail("weights were read"))
    result = mine.runpytest(*arguments, *LOW)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in result.errlines if line]
    assert line.startswith("ERROR: ")
    assert message in line
    assert len(line) < 500


def test_a_built_in_corpus_has_one_target(mine):
    result = mine.runpytest("--qkv-target= him", *LOW)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in result.errlines if line]
    assert "replication are made for the target ' her' and don't all hold ' him' once; name a file" in line


def test_contexts_of_a_project(mine):
    """An override that takes ours runs for each target; of one that hides it nobody can know."""
    taking = (
        "import pytest\n@pytest.fixture(scope='session')\n"
        "def contexts(contexts):\n    return contexts.subset(range(20))\n"
    )
    (mine.path / "conftest.py").write_text(taking)
    mine.runpytest(*TWO, *LOW, "--qkv-json=r.json").assert_outcomes(passed=2)
    assert [read(mine, f"r-embedded-{name}.json")["corpus"]["contexts"] for name in ("her-268", "him-299")] == [20, 20]
    hiding = taking.replace("def contexts(contexts)", "def contexts(request)").replace(
        "return contexts", "return request.getfixturevalue('contexts')"
    )
    (mine.path / "conftest.py").write_text(hiding)
    told = mine.runpytest(*TWO, *LOW).stdout.str()
    assert "--qkv-target names 2 targets, and this test has contexts of which it does not say so" in told


def test_fixtures_alone_run_for_each_target(mine):
    mine.makepyfile(
        test_them="""
        def test_activations(activations, contexts):
            assert len(activations.values) == len(contexts)

        def test_samples(samples):
            assert len(samples.target.values) == len(samples.contexts)

        def test_model(qkv_model):
            assert qkv_model
        """
    )
    result = mine.runpytest(*TWO, "test_them.py", "-v")
    result.assert_outcomes(passed=5)
    named = {line.split(" ")[0] for line in result.outlines if line.startswith("test_them.py::")}
    assert named == {
        "test_them.py::test_model",
        *(f"test_them.py::test_{what}[{name}]" for what in ("activations", "samples") for name in ("her", "him")),
    }


def test_the_page_names_each_target(mine):
    mine.runpytest(*TWO, *LOW, "--qkv-report=page.html")
    page = (mine.path / "page.html").read_text()
    assert "2 targets: claims about queries, keys and values" in page
    for name in ("her", "him"):
        assert f"embedded, target &#39; {name}&#39;" in page


def test_a_command_takes_one(capsys):
    from qkvcheck import cli

    given = ["record", "--model", "embedded", "--out", "a.safetensors", "--target", " her", "--target", " him"]
    assert cli.main(given) == 2
    assert "--target is given twice; this command takes one, so run it once for each" in capsys.readouterr().err
    assert cli.main([*given[:6], '" her" " him"']) == 2
    assert "names several tokens; one is taken here" in capsys.readouterr().err


# Of several tokens ----------------------------------------------------------------------------------


def test_a_target_of_several_tokens_is_told(mine):
    sentences = [f"{subject} {verb} the unbelievably good book" for subject in SUBJECTS for verb in VERBS]
    (mine.path / "long.txt").write_text("\n".join(sentences))
    how = ("--qkv-target= unbelievably", "--qkv-corpus=long.txt")
    result = mine.runpytest(*how, "--qkv-update=all", "--qkv-json=r.json", "--qkv-report=page.html", *LOW)
    result.assert_outcomes(passed=1)
    corpus = read(mine, "r.json")["corpus"]
    ids = corpus["target_ids"]
    count = len(ids)
    assert count > 1
    assert (corpus["target"], corpus["target_id"], corpus["contexts"]) == (" unbelievably", ids[-1], 32)
    told = " ".join(result.stdout.str().split())
    assert f"target ' unbelievably' ({count} tokens, the last one is captured)" in told
    assert f"({count} tokens, the last one is captured)" in (mine.path / "page.html").read_text()
    (record,) = (mine.path / "recorded").iterdir()
    assert record.name == f"embedded+long.txt+unbelievably-{'-'.join(map(str, ids))}.json"
    mine.runpytest(*how, *LOW).assert_outcomes(passed=1)
    both = mine.runpytest(*how, "--qkv-target= good", "--qkv-json=b.json", "-v", *LOW)
    assert "[LOW-L06-Q-unbelievably]" in both.stdout.str()
    alone, beside = (read(mine, name) for name in ("r.json", f"b-{record.stem.replace('+long.txt+', '-')}.json"))
    assert estimates(alone) == estimates(beside)


def test_it_is_held_against_what_stands_before_it(mine):
    """The token before the target is "the", "a" or a verb: never a piece of the target, which are alike everywhere."""
    sentences = [f"{subject} {verb} unbelievably good books" for subject in SUBJECTS for verb in VERBS]
    (mine.path / "long.txt").write_text("\n".join(sentences))
    how = ("--qkv-target= unbelievably", "--qkv-corpus=long.txt", "--qkv-controls=all", "--qkv-json=r.json")
    assert mine.runpytest(*how, *LOW).ret == 0
    (verdict,) = read(mine, "r.json")["verdicts"]
    found = {one["name"]: one["estimate"] for one in verdict["controls"]}
    assert {"different-words", "other-token", "non-target"} <= {name for name, one in found.items() if one is not None}
    assert found["non-target"] < 0.9 < verdict["estimate"]
