"""Verdicts, runs and results that no model made, for tests of what is written from them."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache

import numpy as np

from qkvcheck.claims.claim import Direction, Kind, Role
from qkvcheck.claims.evidence import (
    ContextMatrix,
    DimensionMatrix,
    Evidence,
    ProfilePoint,
    Scatter,
    SearchRecord,
    SeedRange,
)
from qkvcheck.claims.verdict import ControlKind, ControlResult, Decision, Verdict
from qkvcheck.record.finding import Finding
from qkvcheck.record.results import Results
from qkvcheck.record.run import ModelOrigin, Run, RunCorpus, RunSettings, Seen
from qkvcheck.report.page import page
from qkvcheck.statistics.bounds import Specificity
from qkvcheck.statistics.measurement import Distribution
from qkvcheck.statistics.offset import OffsetParts


def make_verdict(key="P3a-L06-QQ", **fields) -> Verdict:
    claim, layer, group = re.fullmatch(r"(.+)-L(\d+)-([A-Z]+).*", key).groups()
    known = {
        "verdict": Decision.SUPPORTED, "estimate": 0.5, "low": 0.46, "high": 0.54, "level": 0.95, "threshold": 0.4444,
        "n": 54, "n_distinct": 54, "role": Role.DECIDES, "statistic": "variance", "measure": "cosine",
        "axis": "dimensions", "statement": "says something", **fields,
    }  # fmt: skip
    for name, made in (("verdict", Decision), ("role", Role), ("direction", Direction), ("kind", Kind)):
        if name in known:
            known[name] = made(known[name])
    return Verdict(key=key, claim=claim, layer=int(layer), group=group, **known)


def distribution(counts=(1, 1), *, low=0.2, high=0.3) -> Distribution:
    return Distribution(list(counts), sum(counts), {}, low, high, 0)


def search_record(**examples) -> SearchRecord:
    return SearchRecord(
        "B9", "B9-L06-Q", 0, 9, 9, 0.9, 0.8,
        **{name: examples.get(name) for name in ("worst", "found", "nearest_passing")},
    )  # fmt: skip


def make_run(*, layers=(6,), texts=(), model=None, corpus=None, settings=None, **fields) -> Run:
    """Return a run; changes of its parts are given by their names."""
    contexts = len(texts) or 54
    origin = ModelOrigin(
        spec="m", slug="m", source="made up", fingerprint="f" * 64, family="gpt2", layers=48, parameters=1,
        stand_in=False, untrained=False,
    )  # fmt: skip
    seen = Seen({"2": contexts}, {"6": contexts}, 3, [2] * contexts)
    held = RunCorpus(
        name="c", sha256="c" * 64, contexts=contexts, distinct_prefixes=contexts, padded_shape=[contexts, 6, 9],
        target=" her", texts=list(texts), first_words=contexts, seen=seen,
    )  # fmt: skip
    made = RunSettings(list(layers), "float32", "cpu", 0, "all", "auto", "d" * 64)
    return Run(
        replace(origin, **(model or {})),
        replace(held, **(corpus or {})),
        {"torch": "2"},
        replace(made, **(settings or {})),
        **fields,
    )


def synthetic(layers=(6,), *, contexts=24, texts=None) -> Results:
    """Return results with all evidence that pictures are made of, from random numbers."""
    rng = np.random.default_rng(0)
    findings = []
    counts = rng.integers(1, 90, size=100).tolist()
    for layer in layers:
        for group in ("QQ", "KK", "VV", "QK", "QV", "KV"):
            evidence = _over_dimensions(counts, rng)
            for claim, measure in (("P3a", "cosine"), ("P8", "pearson")):
                key = f"{claim}-L{layer:02d}-{group}"
                findings.append(Finding(make_verdict(key, measure=measure, evidence=evidence, offset_share=0.7)))
        for name in "QKV":
            above = rng.uniform(0, 1, contexts * (contexts - 1) // 2).round(4).tolist()
            evidence = Evidence(
                context_matrix=ContextMatrix(contexts, above), scatter=Scatter([0, 1], 0.5, [0.1, 0.2], [0.3, 0.1])
            )
            findings.append(Finding(make_verdict(f"P5-L{layer:02d}-{name}", measure="pearson", evidence=evidence)))
    texts = texts or [f"sentence {number} gave her a coat" for number in range(contexts)]
    return Results(make_run(layers=layers, texts=texts), tuple(findings))


@cache
def page_of_synthetic() -> str:
    """Return the page of `synthetic`, made once: its pictures take two seconds."""
    return page([synthetic()])


def _over_dimensions(counts, rng) -> Evidence:
    return Evidence(
        distribution=distribution(counts),
        histograms={"non-target": counts, "different-words": counts, "untrained": counts},
        dimension_matrix=DimensionMatrix(48, 48, rng.uniform(-1, 1, 2304).round(3).tolist()),
        offset=OffsetParts(0.29, 0.2, -0.01, 0.1, 0.2, 0.1, 0.02),
        profile=[
            ProfilePoint(n, 0.3, 0.2, 0.4, 54, mean_square=0.31, untrained=SeedRange(0.2, 0.1, 0.3)) for n in range(48)
        ],
    )


def seeds_control(specificity) -> ControlResult:
    named = None if specificity is None else Specificity(specificity)
    return ControlResult("untrained", 0.1, 0.4, False, 0.3, 0.5, named, kind=ControlKind.SEEDS, seeds=19, passing=0)
