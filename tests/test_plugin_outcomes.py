"""The plugin in a project: outcomes, table, recorded verdicts, results, xdist, junit, selection."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree

import pytest

pytestmark = pytest.mark.usefixtures("loaded")

CLAIMS = """
schema = "qkvcheck/claims/1"
layer = 6
layer_beside = 5

[[claim]]
id = "LOW"
statement = "rows are a little alike"
statistic = "row_mean"
direction = "above"
threshold = 0.2
axis = "contexts"
groups = ["Q", "K"]
measures = ["cosine"]
primary = [["Q", "cosine"]]
controls = ["shuffled"]

[[claim]]
id = "HIGH"
statement = "rows are the same"
statistic = "row_mean"
direction = "above"
threshold = 0.999
axis = "contexts"
groups = ["Q", "K"]
measures = ["cosine"]
primary = [["Q", "cosine"]]
controls = []

[[claim]]
id = "BOTH"
statement = "rows are a little alike, trained or not"
statistic = "row_mean"
direction = "above"
threshold = 0.2
axis = "contexts"
groups = ["Q"]
measures = ["cosine"]
primary = [["Q", "cosine"]]
controls = ["untrained"]

[[claim]]
id = "NONE"
statement = "cannot be judged"
statistic = "other"
direction = "exact"
groups = ["QKV"]
measures = ["cosine"]
primary = [["QKV", "cosine"]]
"""

EXPERIMENTS = """
    import pytest

    @pytest.mark.claim(id="LOW")
    def test_low(claim, samples, controls):
        claim.check(samples.target, controls=controls.of(lambda s: s.target))

    @pytest.mark.claim(id="HIGH")
    def test_high(claim, samples):
        claim.check(samples.target)

    @pytest.mark.claim(id="BOTH")
    def test_both(claim, activations):
        claim.check(activations)

    @pytest.mark.claim(id="NONE")
    def test_none(claim):
        claim.not_judged("no reason")
"""


@pytest.fixture
def project(pytester):
    pytester.makeini(
        "[pytest]\nqkv_claims = claims.toml\nqkv_baselines = recorded\nqkv_model = embedded\n"
        "qkv_controls = claim\nqkv_untrained_seeds = 1"
    )
    (pytester.path / "claims.toml").write_text(CLAIMS)
    pytester.makepyfile(EXPERIMENTS)
    return pytester


WORKERS = pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["plain", "xdist"])


@WORKERS
def test_outcomes_without_a_record(project, workers):
    result = project.runpytest(*workers)
    assert result.ret == 1
    counts = result.parseoutcomes()
    # LOW: 4 cells; BOTH: 2; HIGH: 1 decides and fails, 3 stand beside it; NONE: 2.
    assert (counts["passed"], counts["failed"], counts["skipped"]) == (4, 1, 2)
    out = result.stdout.str()
    assert "3 refuted beside the claim" in out
    assert "2 supported, also holds untrained" in out
    assert "The gate is off: no verdicts are on record for embedded." in out
    result.stdout.fnmatch_lines(["*FAILED *test_high?HIGH-L06-Q?*"])
    assert "Traceback" not in out


def test_a_project_runs_from_its_folders_too(project, monkeypatch):
    with (project.path / "tox.ini").open("a") as ini:
        ini.write("\nqkv_corpus = mine.txt\nqkv_json = out.json\n")
    names = ("She", "He", "Anna", "John", "They", "We", "You", "I", "Peter", "The king")
    sentences = [f"{name} {verb} her" for name in names for verb in ("gave", "told", "saw")]
    (project.path / "mine.txt").write_text("\n".join(sentences))
    monkeypatch.chdir(project.mkdir("folder"))
    result = project.runpytest("..", "-k", "low")
    assert "mine.txt: 30" in result.stdout.str()
    assert (project.path / "out.json").is_file()


def test_failure_is_a_table(project):
    result = project.runpytest()
    result.stdout.fnmatch_lines(
        ["HIGH-L06-Q", "*claim *HIGH: rows are the same", "*threshold *> 0.9990", "*what to do *"]
    )


@WORKERS
def test_life_of_a_record(project, workers):
    """Record, run, change in either direction, and change of model."""
    recorded = project.path / "recorded" / "embedded.json"
    first = project.runpytest("--qkv-update=all", *workers)
    assert first.ret == 0
    assert f"10 verdicts recorded in {recorded}" in first.stdout.str()
    text = recorded.read_text()

    second = project.runpytest(*workers)
    assert second.ret == 0
    assert second.parseoutcomes()["passed"] == 4
    assert "4 refuted (recorded)" in second.stdout.str()
    assert "refuted (recorded) on the stand-in" in second.stdout.str()
    assert "gate is off" not in second.stdout.str()
    assert recorded.read_text() == text

    data = json.loads(text)
    data["verdicts"]["HIGH-L06-Q"]["verdict"] = "SUPPORTED"
    data["verdicts"]["LOW-L05-K"]["verdict"] = "REFUTED"
    recorded.write_text(json.dumps(data))
    third = project.runpytest(*workers)
    assert third.ret == 1
    assert third.parseoutcomes()["failed"] == 2
    third.stdout.fnmatch_lines_random(
        ["*FAILED*HIGH-L06-Q?*", "*FAILED*LOW-L05-K?*", "*on record as REFUTED*now SUPPORTED*", "*(CHANGED)*"]
    )

    data["conditions"]["fingerprint"] = "other"
    recorded.write_text(json.dumps(data))
    fourth = project.runpytest(*workers)
    assert fourth.parseoutcomes()["failed"] == 1
    assert "embedded.json is not comparable (other weights, architecture or tokenizer)" in fourth.stdout.str()


def test_recorded_verdict_that_can_no_longer_be_judged_is_a_change(project):
    """Otherwise a gate would pass because nothing was measured."""
    project.runpytest("--qkv-update=all")
    recorded = project.path / "recorded" / "embedded.json"
    data = json.loads(recorded.read_text())
    data["verdicts"]["NONE-L06-QKV"] = {"verdict": "SUPPORTED", "estimate": 0.5, "n": 54}
    recorded.write_text(json.dumps(data))
    result = project.runpytest()
    assert result.parseoutcomes()["failed"] == 1
    assert "on record as SUPPORTED (0.5000), now NOT JUDGED (no estimate)" in result.stdout.str()


def test_part_of_a_run_records_its_part_only(project):
    project.runpytest("--qkv-update=all")
    before = json.loads((project.path / "recorded" / "embedded.json").read_text())
    project.runpytest("--qkv-update=all", "-k", "LOW-L06-Q")
    assert json.loads((project.path / "recorded" / "embedded.json").read_text()) == before


def test_named_record_that_is_not_there(project):
    result = project.runpytest("--qkv-baseline", "nowhere.json")
    assert result.ret == 4
    told = result.stderr.str().strip().removeprefix("ERROR: ")
    assert told == "baseline 'nowhere.json' can't be read (No such file or directory); record it with --qkv-update=all."


@WORKERS
def test_results_file(project, workers):
    result = project.runpytest("--qkv-json", "results.json", *workers)
    assert "Results written to results.json" in result.stdout.str()
    data = json.loads((project.path / "results.json").read_text())
    assert data["schema"] == "qkvcheck/results/1"
    assert data["model"]["stand_in"] is True
    assert data["corpus"]["padded_shape"] == [54, 8, 384]
    assert set(data["versions"]) >= {"python", "torch", "transformers", "numpy"}
    verdicts = {v["key"]: v for v in data["verdicts"]}
    assert len(verdicts) == 12
    assert verdicts["LOW-L06-Q"]["verdict"] == "SUPPORTED"
    assert verdicts["LOW-L06-Q"]["qualifier"] == ["stand-in"]
    assert [c["name"] for c in verdicts["LOW-L06-Q"]["controls"]] == ["shuffled"]
    assert verdicts["NONE-L06-QKV"]["reason"] == "no reason"


def test_xdist_gives_the_same_numbers(project):
    for name, workers in (("a.json", ()), ("b.json", ("-n2",))):
        project.runpytest("--qkv-json", name, *workers)
    first, second = ((project.path / name).read_text() for name in ("a.json", "b.json"))
    assert first == second


def test_junit_carries_the_verdict(project):
    project.runpytest("--junitxml=j.xml", "-k", "LOW-L06-Q")
    nodes = ElementTree.parse(project.path / "j.xml").getroot().iter("property")
    told = {node.get("name"): node.get("value") for node in nodes}
    verdict = json.loads(told["qkvcheck"])["verdict"]
    assert verdict["key"] == "LOW-L06-Q"
    assert told["qkvcheck.verdict"] == "supported on the stand-in"
    assert float(told["qkvcheck.low"]) == verdict["low"] < verdict["estimate"] < verdict["high"]
    assert told["qkvcheck.control.shuffled"].startswith(f"{verdict['controls'][0]['estimate']:.4f}")


def test_junit_says_that_it_holds_untrained(project):
    result = project.runpytest("--junitxml=j.xml", "--qkv-json", "r.json", "-k", "BOTH-L06-Q")
    told = {p.get("name"): p.get("value") for p in ElementTree.parse(project.path / "j.xml").getroot().iter("property")}
    assert told["qkvcheck.verdict"] == "supported on the stand-in, also holds untrained"
    (verdict,) = json.loads((project.path / "r.json").read_text())["verdicts"]
    assert verdict["qualifier"] == ["stand-in", "also holds untrained"]
    assert "supported on the stand-in, also holds untrained" in result.stdout.str()
    assert "1 supported, also holds untrained" in result.stdout.lines[-1]


def test_corpora_have_records_of_their_own(project):
    project.runpytest("--qkv-update=all")
    result = project.runpytest("--qkv-update=all", "--qkv-corpus", "balanced", "--qkv-dtype", "float64")
    assert "embedded+balanced+float64.json" in result.stdout.str()
    assert project.runpytest().ret == 0
    assert project.runpytest("--qkv-corpus", "balanced", "--qkv-dtype", "float64").ret == 0
    assert "no verdicts are on record" in project.runpytest("--qkv-corpus", "balanced").stdout.str()


def test_file_that_cannot_be_written_is_no_success(project):
    (project.path / "r.json").mkdir()
    result = project.runpytest("--qkv-json", "r.json", "-k", "LOW")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "NOT WRITTEN" in result.stdout.str()
    assert "Traceback" not in result.stdout.str()


def test_quiet_leaves_one_line(project):
    result = project.runpytest("-q")
    lines = [line for line in result.outlines if "claims:" in line or line.startswith("qkvcheck")]
    assert lines == [
        "qkvcheck: embedded: 4 claims: 2 supported on the stand-in, 1 refuted on the stand-in, 1 not judged; "
        "1 of the supported also in an untrained network; the gate is off (no verdicts are on record for embedded)"
    ]
    assert "threshold " not in "\n".join(line for line in result.outlines if line.startswith("claim "))


def test_verbose_lists_every_cell(project):
    assert "L06 K cosine" not in project.runpytest("-k", "LOW").stdout.str()
    assert "L06 K cosine" in project.runpytest("-k", "LOW", "-v").stdout.str()


@pytest.mark.parametrize(("colour", "coloured"), [("yes", True), ("no", False)])
def test_colours_follow_pytest(project, colour, coloured):
    assert ("\x1b[33m" in project.runpytest(f"--color={colour}").stdout.str()) is coloured


def test_header_line(project):
    project.runpytest().stdout.fnmatch_lines(
        ["qkvcheck: model embedded, corpus replication, target ' her', layers 5, 6 (zero-based)"]
    )


@pytest.mark.parametrize(
    ("selection", "count"),
    [
        (["-m", "claim(layer=6)"], 6),
        (["-m", "claim(id='LOW', group='K')"], 2),
        (["-k", "L05"], 6),
        (["-k", "LOW-L06"], 2),
    ],
)
def test_selection(project, selection, count):
    result = project.runpytest("--collect-only", "-q", *selection)
    assert len([line for line in result.outlines if "::" in line]) == count


def test_layers_option_moves_every_claim(project):
    result = project.runpytest("--collect-only", "-q", "--qkv-layers", "2-4")
    assert [f"L{layer:02d}" in result.stdout.str() for layer in range(1, 6)] == [False, True, True, True, False]


def test_broken_apparatus_is_an_error(project):
    project.makepyfile(
        """
        import numpy as np, pytest
        from dataclasses import replace

        @pytest.mark.claim(id="HIGH", layer=6, group="Q")
        def test_nan(claim, activations):
            claim.check(replace(activations, values=np.full_like(activations.values, np.nan)))
        """
    )
    result = project.runpytest()
    assert result.ret == 1
    assert result.parseoutcomes() == {"errors": 1}
    assert "NaN or infinite values; nothing can be said" in result.stdout.str()
    assert "Traceback" not in result.stdout.str()


def test_larger_model_is_told_by_its_parameters(project):
    result = project.runpytest("-rs", "-k", "NONE")
    result.stdout.fnmatch_lines(["*SKIPPED*NOT JUDGED: no reason"])


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
    assert "@pytest.mark.claim(id, layer, group, measure" in pytester.runpytest("--markers").stdout.str()
    fixtures = pytester.runpytest("--fixtures").stdout.str()
    for name in ("qkv_model", "contexts", "samples", "activations", "controls", "claim"):
        assert f"\n{name} " in fixtures


OPEN = """
schema = "qkvcheck/claims/1"
layer = 6

[[claim]]
id = "OPEN"
statement = "rows are more alike than can be told"
statistic = "row_mean"
direction = "above"
threshold = 0.4533
axis = "contexts"
groups = ["Q", "K"]
measures = ["pearson"]
primary = [["Q", "pearson"]]
controls = []
"""


@pytest.fixture
def open_project(pytester):
    pytester.makeini(
        "[pytest]\nqkv_claims = claims.toml\nqkv_baselines = recorded\nqkv_model = embedded\nqkv_layers = 6"
    )
    (pytester.path / "claims.toml").write_text(OPEN)
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.claim(id="OPEN")
        def test_open(claim, activations):
            claim.check(activations)
        """
    )
    return pytester


@WORKERS
def test_inconclusive_has_a_letter_and_a_count_of_its_own(open_project, workers):
    result = open_project.runpytest("--junitxml=j.xml", "-k", "OPEN-L06-Q", *workers)
    assert result.ret == 0
    out = result.stdout.str()
    assert "1 inconclusive" in result.stdout.lines[-1]
    assert "?" in "".join(line for line in result.stdout.lines if line.startswith(("test_", "?")) or "%]" in line)
    assert "OPEN-L06-Q is open: some" in out
    assert "1 claim: 0 supported on the stand-in, 0 refuted on the stand-in, 1 inconclusive" in out
    told = {
        p.get("name"): p.get("value") for p in ElementTree.parse(open_project.path / "j.xml").getroot().iter("property")
    }
    assert told["qkvcheck.verdict"] == "inconclusive on the stand-in"


@WORKERS
def test_strict_makes_it_a_failure(open_project, workers):
    result = open_project.runpytest("--qkv-strict", "-k", "OPEN-L06-Q", *workers)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*distinct contexts would just settle it*", "*give more different contexts*"])
    assert "Traceback" not in result.stdout.str()


def test_strict_in_environment_and_ini(open_project, monkeypatch):
    monkeypatch.setenv("QKV_STRICT", "1")
    assert open_project.runpytest("-k", "OPEN-L06-Q").ret == 1
    monkeypatch.setenv("QKV_STRICT", "perhaps")
    result = open_project.runpytest("-k", "OPEN-L06-Q")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "qkv_strict 'perhaps' is neither yes nor no" in result.stderr.str()


@WORKERS
def test_strict_does_not_let_auto_fall_back(open_project, workers, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    result = open_project.runpytest_subprocess("--qkv-strict", "--qkv-model", "auto", *workers)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--qkv-strict: auto would fall back to the embedded model" in result.stderr.str()


def test_inconclusive_on_record_is_no_change(open_project):
    open_project.runpytest("--qkv-update=all")
    assert json.loads((open_project.path / "recorded" / "embedded.json").read_text())["verdicts"]["OPEN-L06-Q"][
        "verdict"
    ] == "INCONCLUSIVE"  # fmt: skip
    assert open_project.runpytest().ret == 0


CONTROLLED = (
    CLAIMS
    + """
[[claim]]
id = "ALL"
statement = "with every control, as a family"
statistic = "variance"
direction = "above"
threshold = 0.2
axis = "dimensions"
groups = ["QQ", "KK", "QK"]
measures = ["cosine", "pearson"]
primary = [["QQ", "cosine"]]
controls = ["untrained"]
"""
)


@pytest.fixture
def controlled(pytester):
    pytester.makeini(
        "[pytest]\nqkv_claims = claims.toml\nqkv_model = embedded\nqkv_layers = 6\nqkv_untrained_seeds = 3"
    )
    (pytester.path / "claims.toml").write_text(CONTROLLED)
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.claim(id="ALL")
        def test_all(claim, samples, controls):
            claim.check(samples.target, controls=controls.of(lambda s: s.target))
        """
    )
    return pytester


def numbers_of(project, name: str, *arguments: str) -> dict[str, dict]:
    project.runpytest("--qkv-json", name, *arguments)
    return {v["key"]: v for v in json.loads((project.path / name).read_text())["verdicts"]}


def assert_alike(first: dict[str, dict], second: dict[str, dict]) -> None:
    assert first.keys() == second.keys()
    for key, one in first.items():
        other = second[key]
        assert (one["verdict"], one["qualifier"]) == (other["verdict"], other["qualifier"])
        for name in ("estimate", "plug_in", "low", "high", "offset_share"):
            assert one[name] == pytest.approx(other[name], abs=1e-7)
        for control, twin in zip(one["controls"], other["controls"], strict=True):
            assert (control["name"], control["specificity"]) == (twin["name"], twin["specificity"])
            assert control["estimate"] == pytest.approx(twin["estimate"], abs=1e-7)


def test_plain_workers_and_order_of_tests_give_the_same(controlled):
    first = numbers_of(controlled, "a.json")
    assert {c["name"] for c in first["ALL-L06-QQ"]["controls"]} == {
        "different-words", "other-token", "untrained", "non-target", "position-matched", "within-column", "shuffled",
    }  # fmt: skip
    assert first["ALL-L06-QQ"]["simultaneous"] is False
    assert first["ALL-L06-KK"]["simultaneous"] is True
    assert_alike(first, numbers_of(controlled, "b.json", "-n2"))
    (controlled.path / "conftest.py").write_text("def pytest_collection_modifyitems(items):\n    items.reverse()\n")
    assert_alike(first, numbers_of(controlled, "c.json"))
    (controlled.path / "conftest.py").unlink()
    assert_alike(
        {"ALL-L06-KK": first["ALL-L06-KK"]}, numbers_of(controlled, "d.json", "-k", "ALL-L06-KK and not pearson")
    )


def test_order_of_the_contexts_gives_the_same(controlled, corpus_records, rng):
    texts = [record["text"] for record in corpus_records["replication"]]
    (controlled.path / "one.txt").write_text("\n".join(texts) + "\n")
    (controlled.path / "other.txt").write_text("\n".join(rng.permutation(texts)) + "\n")
    assert_alike(
        numbers_of(controlled, "a.json", "--qkv-corpus", "one.txt"),
        numbers_of(controlled, "b.json", "--qkv-corpus", "other.txt"),
    )


def test_controls_can_be_chosen(controlled):
    found = numbers_of(controlled, "a.json", "--qkv-controls", "other-token", "-k", "ALL-L06-QQ")["ALL-L06-QQ"]
    assert [c["name"] for c in found["controls"]] == ["other-token", "untrained"]
    found = numbers_of(controlled, "b.json", "--qkv-controls", "claim", "-k", "ALL-L06-QQ")["ALL-L06-QQ"]
    assert [c["name"] for c in found["controls"]] == ["untrained"]
    result = controlled.runpytest("--qkv-controls", "none-such")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--qkv-controls 'none-such' is not known; allowed: different-words" in result.stderr.str()


def test_clusters_can_be_chosen(controlled, corpus_records):
    lines = [
        json.dumps({"text": record["text"], "cluster": f"c{number % 15}"})
        for number, record in enumerate(corpus_records["replication"])
    ]
    (controlled.path / "labelled.jsonl").write_text("\n".join(lines) + "\n")
    options = ("-k", "ALL-L06-QQ", "--qkv-controls", "claim", "--qkv-untrained-seeds", "0")
    for name, more, want in (
        ("a.json", (), (47, "first word")),
        ("b.json", ("--qkv-clusters", "prefix"), (54, "distinct row")),
        ("c.json", ("--qkv-corpus", "labelled.jsonl"), (15, "label")),
    ):
        found = numbers_of(controlled, name, *options, *more)["ALL-L06-QQ"]
        assert (found["clusters"], found["cluster_kind"]) == want
    result = controlled.runpytest("--qkv-clusters", "label", "-k", "ALL-L06-QQ")
    assert "replication does not label every context" in result.stdout.str()


def test_first_failure_ends_the_run_and_the_table_shows_what_was_judged(project):
    """-x: HIGH's deciding cell is the first that fails; NONE, after it, is not run, and no cell is called stale."""
    project.runpytest("--qkv-update=all")
    (project.path / "recorded" / "embedded.json").rename(project.path / "elsewhere.json")
    result = project.runpytest("-x")
    assert result.ret == 1
    counts = result.parseoutcomes()
    assert (counts["failed"], counts["passed"]) == (1, 4)
    assert "skipped" not in counts
    out = result.stdout.str()
    assert "L06 Q cosine" in out
    assert "no longer run" not in out


def test_last_failed_runs_what_was_refuted_alone(project):
    assert project.runpytest().parseoutcomes()["failed"] == 1
    result = project.runpytest("--lf", "-v")
    assert result.parseoutcomes() == {"failed": 1}
    result.stdout.fnmatch_lines(["*test_high?HIGH-L06-Q? FAILED*"])
    assert result.stdout.str().count("1 claim: 0 supported on the stand-in, 1 refuted on the stand-in") == 1
