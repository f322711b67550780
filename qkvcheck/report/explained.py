"""Explained: what is said once for a run of what the rows of a target hang on."""

from __future__ import annotations

from collections.abc import Iterable

from qkvcheck.claims import share_text
from qkvcheck.groups import FACTORS
from qkvcheck.record import Finding


def explained_texts(findings: Iterable[Finding]) -> list[str]:
    """Return for each layer of a deciding cell what first token, preceding token and position explain."""
    told: dict[int, str] = {}
    for verdict in (finding.verdict for finding in findings):
        found = verdict.evidence.explained
        if not found or verdict.head is not None or verdict.layer in told:
            continue
        by_factor = {factor: [one for one in found if one.factor == factor] for factor in FACTORS}
        parts = [
            f"{factor} {', '.join(f'{one.projection} {share_text(one.share)}' for one in shares)}"
            for factor, shares in by_factor.items()
            if shares
        ]
        told[verdict.layer] = f"share of the target's spread at layer {verdict.layer} (omega^2): {'; '.join(parts)}"
    return [told[layer] for layer in sorted(told)]
