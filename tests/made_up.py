"""Verdicts and results that no model made, for tests of what is written from them."""

from __future__ import annotations

import numpy as np

from qkvcheck.claims.verdict import ControlResult, Verdict
from qkvcheck.record.baseline import Finding
from qkvcheck.record.results import Results


def make_verdict(key="P3a-L06-QQ", **fields) -> Verdict:
    claim, layer, group = key.split("-")[:3]
    known = {
        "verdict": "SUPPORTED", "estimate": 0.5, "low": 0.46, "high": 0.54, "level": 0.95, "threshold": 0.4444,
        "n": 54, "n_distinct": 54, "role": "decides", "statistic": "variance", "measure": "cosine",
        "axis": "dimensions", "statement": "says something", **fields,
    }  # fmt: skip
    return Verdict(key=key, claim=claim, layer=int(layer[1:]), group=group, **known)


def synthetic(layers=(6,), *, contexts=24, texts=None) -> Results:
    """Return results with all evidence that pictures are made of, from random numbers."""
    rng = np.random.default_rng(0)
    findings = []
    counts = rng.integers(1, 90, size=100).tolist()
    for layer in layers:
        for group in ("QQ", "KK", "VV", "QK", "QV", "KV"):
            evidence = {
                "histogram": counts, "share_low": 0.2, "share_high": 0.3, "pairs": sum(counts),
                "histograms": {"non-target": counts, "different-words": counts, "untrained": counts},
                "dimension_matrix": {"rows": 48, "columns": 48, "cells": rng.uniform(-1, 1, 2304).round(3).tolist()},
                "offset": {"offset": 0.2, "cross": -0.01, "residual": 0.1, "mean_square": 0.29, "share": 0.7},
                "profile": [
                    {"layer": n, "estimate": 0.3, "low": 0.2, "high": 0.4, "mean_square": 0.31, "n_distinct": 54,
                     "reason": None, "untrained": {"mean": 0.2, "low": 0.1, "high": 0.3}}
                    for n in range(48)
                ],
            }  # fmt: skip
            for claim, measure in (("P3a", "cosine"), ("P8", "pearson")):
                key = f"{claim}-L{layer:02d}-{group}"
                findings.append(Finding(make_verdict(key, measure=measure, evidence=evidence, offset_share=0.7)))
        for block in "QKV":
            evidence = {
                "context_matrix": {
                    "n": contexts,
                    "above": rng.uniform(0, 1, contexts * (contexts - 1) // 2).round(4).tolist(),
                },
                "scatter": {"contexts": [0, 1], "similarity": 0.5, "x": [0.1, 0.2], "y": [0.3, 0.1]},
            }
            findings.append(Finding(make_verdict(f"P5-L{layer:02d}-{block}", measure="pearson", evidence=evidence)))
    texts = texts or [f"sentence {number} gave her a coat" for number in range(contexts)]
    run = {
        "model": {"spec": "m", "slug": "m", "source": "made up", "fingerprint": "f" * 64, "family": "gpt2",
                  "layers": 48, "parameters": 1, "stand_in": False, "untrained": False},
        "corpus": {"name": "c", "sha256": "c" * 64, "lecture": False, "target": " her", "texts": texts,
                   "target_indexes": [2] * contexts, "contexts": contexts, "distinct_prefixes": contexts,
                   "first_words": contexts, "positions": {"2": contexts}, "lengths": {"6": contexts},
                   "unseen_tokens": 3, "padded_shape": [contexts, 6, 9]},
        "settings": {"layers": list(layers), "device": "cpu", "dtype": "float32", "seed": 0, "controls": "all",
                     "clusters": "auto", "claims_sha256": "d" * 64},
        "versions": {"torch": "2"},
    }  # fmt: skip
    return Results(run, tuple(findings))


def seeds_control(specificity):
    return ControlResult("untrained", 0.1, 0.4, False, 0.3, 0.5, specificity, kind="seeds", seeds=19, passing=0)
