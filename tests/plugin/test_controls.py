"""The same numbers in any order, from one process and from two; controls and clusters that can be chosen."""

from __future__ import annotations

import json

import pytest

from tests.plugin.conftest import CLAIMS

pytestmark = pytest.mark.usefixtures("loaded")


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
            claim.check(samples.target, controls=controls.of("target"))
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


@pytest.mark.long
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
    assert "--qkv-controls: control 'none-such' is not known; allowed: different-words" in result.stderr.str()


def test_clusters_can_be_chosen(controlled, corpus_records):
    lines = [
        json.dumps({"text": record["text"], "cluster": f"c{number % 15}"})
        for number, record in enumerate(corpus_records["replication"])
    ]
    (controlled.path / "labelled.jsonl").write_text("\n".join(lines) + "\n")
    options = ("-k", "ALL-L06-QQ", "--qkv-controls", "claim", "--qkv-untrained-seeds", "0")
    for name, more, want in (
        ("a.json", (), (47, "first token")),
        ("b.json", ("--qkv-clusters", "prefix"), (54, "distinct row")),
        ("d.json", ("--qkv-clusters", "explains-most"), (49, "preceding token")),
        ("c.json", ("--qkv-corpus", "labelled.jsonl"), (15, "label")),
    ):
        found = numbers_of(controlled, name, *options, *more)["ALL-L06-QQ"]
        assert (found["clusters"], found["cluster_kind"]) == want
    result = controlled.runpytest("--qkv-clusters", "label", "-k", "ALL-L06-QQ")
    assert "replication does not label every context" in result.stdout.str()
