"""CodeGen: transformers, models/codegen/modeling_codegen.py: CodeGenAttention.qkv_proj, in an order of its own."""

from typing import Any

import numpy as np

from qkvcheck.models.architecture import FIELDS, Architecture, Split, register_architecture

PARTS = 4


class CodeGen(Architecture):
    """CodeGen, whose heads lie in four parts: each has its queries, its values, its keys."""

    def order(self, config: Any) -> np.ndarray | None:
        """Return where each number of Q | K | V stands in what the projection puts out."""
        raw = np.arange(sum(self.heads(config).widths)).reshape(PARTS, 3, -1)
        return np.concatenate([raw[:, place].ravel() for place in (0, 2, 1)])


register_architecture(
    CodeGen(
        family="codegen",
        layers="h",
        attention="attn",
        names=("qkv_proj",),
        output="out_proj",
        norm="ln_1",
        split=Split.GROUPS,
        between=("rotary",),
        neighbours=True,
        fingerprint_fields=(*FIELDS, "rotary_dim", "n_inner"),
        trie=True,
        prefix="transformer.",
    )
)
