"""Words of the controls: what each one says."""

from __future__ import annotations

from collections.abc import Mapping

SAYS: Mapping[str, str] = {
    "different-words": "the same frames, each with another word: what repeating one token adds",
    "other-token": "the same frames with another pronoun: whether it is this token or any repeated one",
    "untrained": "networks of the same shape with random weights: what training did not make",
    "non-target": "the token before the target: other words at other positions, so lower for trivial reasons too",
    "position-matched": "only the commonest position: whether mixing positions made the number",
    "within-column": "contexts permuted within each dimension (a line, no evidence): what mean offset alone gives",
    "shuffled": "everything permuted (a line, no evidence): nearly any structure is above it",
}
"""What each control says."""
