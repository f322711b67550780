"""A project with two claims, and its record."""

from __future__ import annotations

import json

import pytest

CLAIM = """
[[claim]]
id = "{id}"
statement = "rows are a little alike"
statistic = "row_mean"
direction = "above"
threshold = {threshold}
axis = "contexts"
groups = ["Q", "K"]
measures = ["cosine"]
primary = [["Q", "cosine"]]
controls = []
"""


EXPERIMENTS = """
    import pytest

    @pytest.mark.claim(id="{first}")
    def test_low(claim, samples):
        claim.check(samples.target)

    @pytest.mark.claim(id="HIGH")
    def test_high(claim, samples):
        claim.check(samples.target)
"""


def write_project(pytester, *, first: str = "LOW") -> None:
    claims = CLAIM.format(id=first, threshold=0.2) + CLAIM.format(id="HIGH", threshold=0.999)
    (pytester.path / "claims.toml").write_text(f'schema = "qkvcheck/claims/1"\nlayer = 6\n{claims}')
    pytester.makepyfile(test_claims=EXPERIMENTS.format(first=first))


@pytest.fixture
def project(pytester):
    pytester.makeini("[pytest]\nqkv_claims = claims.toml\nqkv_baselines = recorded\nqkv_model = embedded\n")
    write_project(pytester)
    return pytester


@pytest.fixture
def recorded(project):
    assert project.runpytest("--qkv-update=all").ret == 0
    return project.path / "recorded" / "embedded.json"


def edit(path, change) -> None:
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
