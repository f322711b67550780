"""Notes of a test: plain data that the result file's readers can read."""

from __future__ import annotations

import numpy as np
import pytest

from qkvcheck.claims.claim import Claim, Direction, cells
from qkvcheck.errors import ClaimError
from qkvcheck.groups import Comparison
from qkvcheck.plugin.claim_check import ClaimCheck


@pytest.fixture
def check() -> ClaimCheck:
    primary = (Comparison("Q", "cosine"),)
    claim = Claim("mine", "rows are alike", "row_mean", Direction.ABOVE, 0.9, groups=("Q",), primary=primary)
    return ClaimCheck(claim, cells(claim, layers=[6])[0], None, lambda _: None)


def test_notes_are_plain_data(check):
    parts = {
        "weights": 0.1,
        "generic": 0.2,
        "token": 0.3,
        "position": 0.1,
        "context": 0.3,
        "top_share": np.float64(0.4),
    }
    check.note(pairs_seen=3, texts=("a", "b"), attribution=parts)
    assert check._notes == {"pairs_seen": 3, "texts": ["a", "b"], "attribution": {**parts, "top_share": 0.4}}


@pytest.mark.parametrize(
    ("note", "message"),
    [
        ({"seen": {1, 2}}, "claim mine: a note has to be plain data, such as numbers and texts (Object of type set"),
        ({"number": float("nan")}, "claim mine: a note has to be plain data"),
        ({"offset": 3}, "claim mine: a note has the name of a part of the evidence, and offset is 3; it has to be an"),
        (
            {"profile": [{"layer": -1}]},
            "a note has the name of a part of the evidence, and profile[0].estimate is missing",
        ),
    ],
)
def test_a_note_that_no_reader_could_read_is_refused(check, note, message):
    """It would break the result file, and the workers of a run on several processes."""
    with pytest.raises(ClaimError) as caught:
        check.note(**note)
    assert message in str(caught.value)
    assert check._notes == {}
