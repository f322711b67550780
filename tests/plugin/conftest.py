"""A project with claims that come out each way."""

from __future__ import annotations

import pytest

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
        claim.check(samples.target, controls=controls.of("target"))

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


IN_WORKERS = pytest.param(("-n2",), id="xdist", marks=pytest.mark.long)
"""Three processes that each load torch: a lane of their own."""
WORKERS = pytest.mark.parametrize("workers", [pytest.param((), id="plain"), IN_WORKERS])
