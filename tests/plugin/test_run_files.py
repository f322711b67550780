"""What a run leaves for programs: the results file, the same with workers, and junit."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree

import pytest

from tests.plugin.conftest import WORKERS

pytestmark = pytest.mark.usefixtures("loaded")


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


@pytest.mark.long
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
    assert " supported u" in result.stdout.str()
    assert "u: untrained networks do it too" in result.stdout.str()
    assert "1 supported (untrained networks too)" in result.stdout.lines[-1]


def test_file_that_cannot_be_written_is_no_success(project):
    (project.path / "r.json").mkdir()
    result = project.runpytest("--qkv-json", "r.json", "-k", "LOW")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: --qkv-json 'r.json' is a folder; name a file in it." in result.stderr.str()
    assert "Traceback" not in result.stdout.str()


MODELS = """
import pytest, qkvcheck

@pytest.fixture(scope="session", params=["embedded", "embedded#untrained=1"])
def qkv_model(request):
    return qkvcheck.load_model(request.param)
"""


def test_short_page_of_a_run(project):
    result = project.runpytest("--qkv-report-short", "s.html", "-k", "LOW-L06-Q")
    assert "Report written to s.html" in result.stdout.str()
    text = (project.path / "s.html").read_text()
    assert "<title>Claims about queries, keys and values in embedded" in text
    assert "This is the short version" in text
    assert "Claim by claim" not in text


def test_short_pages_of_several_models_are_one_a_model(project):
    """A comparison has no short version; what was asked for is written all the same, and said."""
    project.makeconftest(MODELS)
    result = project.runpytest("--qkv-report-short", "s.html", "-k", "LOW-L06-Q")
    pages = {"s-embedded.html": "embedded", "s-embedded-untrained-1.html": "embedded#untrained=1"}
    assert {path.name for path in project.path.glob("*.html")} == set(pages)
    for page, spec in pages.items():
        assert f"Report written to {page}" in result.stdout.str()
        text = (project.path / page).read_text()
        assert f"<title>Claims about queries, keys and values in {spec}</title>" in text
        assert "This is the short version" in text
