"""P1, P2 and P9: the setup itself, which holds exactly or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qkvcheck.capture import Samples, sample_of
from qkvcheck.claims import Decision, Role, cells, judge_sample, load_claims
from qkvcheck.contexts import ContextSet
from qkvcheck.models import HookedModel
from qkvcheck.plugin import ClaimCheck
from qkvcheck.statistics import split_group, unit_columns

CLAIMS = Path(__file__).with_name("claims.toml")
MEASURED_ON_THE_TARGET = ("P3a", "P3b", "P4", "P5", "P8")
TOKENS_IN_THE_LONGEST = 8
CONTEXTS = 54


@pytest.mark.claim(id="P1")
def test_padded_contexts_hold_the_target(
    claim: ClaimCheck, contexts: ContextSet, samples: Samples, qkv_model: HookedModel
) -> None:
    """54 contexts, the target once each, padded by the tokenizer itself to 54 x 8 x (Q + K + V)."""
    captured = samples.everywhere
    values = captured.at(claim.cell.layer)
    width = sum(part.stop - part.start for part in captured.projections.values())
    rows = contexts.contexts
    padded = qkv_model.encoder.pad([row.text for row in rows])
    ours = np.full_like(padded, qkv_model.encoder.pad_id)
    for slot, row in zip(ours, rows, strict=True):
        slot[: len(row.token_ids)] = row.token_ids
    claim.require(
        {
            f"there are {CONTEXTS} contexts": len(rows) == CONTEXTS,
            "the target stands at its index in each": all(
                row.token_ids[row.target_index] == contexts.target_id for row in rows
            ),
            "it stands there once": all(row.token_ids.count(contexts.target_id) == 1 for row in rows),
            "the words before and after it differ": len({row.token_ids for row in rows}) == len(rows),
            "the lengths differ": len({len(row.token_ids) for row in rows}) > 1,
            "the tokenizer pads them as they were captured": padded.shape == values.shape[:2]
            and (padded == ours).all(),
            f"the tensor is {CONTEXTS} x {TOKENS_IN_THE_LONGEST} x {width}": values.shape
            == (CONTEXTS, TOKENS_IN_THE_LONGEST, width),
        },
        n=len(rows),
        captured_shape=list(values.shape),
    )


@pytest.mark.claim(id="P2")
def test_normalised_product_is_a_cosine_matrix(claim: ClaimCheck, samples: Samples) -> None:
    """Every cosine lies in [-1, 1]; dividing by the norm of the whole matrix instead gives no cosines."""
    tolerance = claim.claim.tolerance or 0.0
    x, y = split_group(samples.target.at(claim.cell.layer), claim.cell.group, samples.target.projections)
    first = unit_columns(x)
    second = first if y is None else unit_columns(y)
    cosines = first.T @ second
    filled = first.any(axis=0)
    by_matrix_norm = x.T.astype(np.float64) @ (x if y is None else y)
    by_matrix_norm /= np.linalg.norm(x) * np.linalg.norm(x if y is None else y)
    conditions = {
        "abs(cos) <= 1 + 1e-6": np.abs(cosines).max() <= 1 + tolerance,
        "every pair has one": cosines.shape == (first.shape[1], second.shape[1]),
        "dividing by the norm of the matrix gives something else": np.abs(by_matrix_norm - cosines).max() > 0.1,
    }
    if y is None:
        conditions["it is symmetric"] = np.abs(cosines - cosines.T).max() <= tolerance
        conditions["its diagonal is 1"] = np.abs(np.diag(cosines)[filled] - 1).max() <= tolerance
    claim.require(
        {text: bool(holds) for text, holds in conditions.items()},
        n=len(x),
        pairs=cosines.size if y is not None else cosines.shape[0] * (cosines.shape[0] - 1) // 2,
        zero_columns=int((~filled).sum()),
        largest=float(np.abs(cosines).max()),
    )


@pytest.mark.claim(id="P9")
def test_larger_models(claim: ClaimCheck, qkv_model: HookedModel, samples: Samples) -> None:
    """What the paper says of the target, in a model with more parameters than GPT-2 small."""
    least = claim.claim.own["parameters_of_gpt2_small"]
    assert isinstance(least, int)
    if qkv_model.parameters <= least:
        claim.not_judged(
            f"{qkv_model.spec} has {qkv_model.parameters:,} parameters, GPT-2 small {least:,}; name a larger model "
            "with --qkv-model, such as gpt2-medium"
        )
    layer = claim.cell.layer
    sample = sample_of(samples.target, layer=layer)
    on_file = load_claims(CLAIMS).claims
    claim.require(
        {
            cell.key: judge_sample(on_file[identity], cell, sample).verdict == Decision.SUPPORTED
            for identity in MEASURED_ON_THE_TARGET
            for cell in cells(on_file[identity], layers=[layer])
            if cell.role == Role.DECIDES
        },
        n=len(samples.contexts),
        parameters=qkv_model.parameters,
    )
