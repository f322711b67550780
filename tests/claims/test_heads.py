"""Claims about single heads: their cells, which decide, over how many an interval holds, and what is judged."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.special import stdtrit

import qkvcheck
from qkvcheck.capture.activations import Activations, sample_of
from qkvcheck.claims.claim import Claim, Direction, Kind, Role, at_heads, cells
from qkvcheck.claims.claims_file import load_claims
from qkvcheck.claims.comparison import level_of
from qkvcheck.claims.given_networks import GivenNetworks
from qkvcheck.claims.judging import judge_sample, number_of
from qkvcheck.claims.layers import judge_against_untrained, judge_layers
from qkvcheck.claims.verdict import Decision, verdict_from_dict
from qkvcheck.errors import CaptureError, ClaimError, NotCapturedError
from qkvcheck.groups import Comparison
from qkvcheck.plugin.markers import cells_of_marker, claim_of_marker

K = Comparison("K", "cosine")
PLACES = {"Q": slice(0, 12), "K": slice(12, 16), "V": slice(16, 20)}
GROUPED = {"Q": 6, "K": 2, "V": 2}


def claim_of(heads=None, **more) -> Claim:
    told = {"groups": ("K",), "primary": (K,), "axis": "contexts", **more}
    return Claim("mine", "says", told.pop("statistic", "row_mean"), Direction.ABOVE, 0.5, heads=heads, **told)


def captured(seed: int = 0, *, layers=(5, 6)) -> Activations:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(30, len(layers), 20)) + 1.5 * rng.normal(size=20)
    return Activations(values, ("context", "layer", "width"), tuple(layers), PLACES, heads=GROUPED)


# Cells ----------------------------------------------------------------------------------------------


def test_without_heads_keys_and_cells_are_what_they_were():
    (cell,) = cells(claim_of(), layers=[6])
    assert (cell.key, cell.head, cell.at_head, cell.over) == ("mine-L06-K", None, None, 1)
    assert at_heads(claim_of(), cell, {}) == [cell]


@pytest.mark.parametrize(
    ("own", "asked", "found"),
    [
        ((3,), None, {"H03": "decides"}),
        ((3, 4), None, {"H03": "decides", "H04": "decides"}),
        ((3,), (2, 3), {"H02": "beside", "H03": "decides"}),
        ((3,), (1, 2), {"H01": "decides", "H02": "decides"}),  # as layers do: else nothing would decide
        (None, (1, 2), {"H01": "decides", "H02": "decides"}),
        ("all", (1,), {"H01": "decides"}),
        ("all", None, {"Hall": "decides"}),
        ((3,), "all", {"Hall": "decides"}),
    ],
)
def test_cells_of_heads_and_which_of_them_decide(own, asked, found):
    every = cells(claim_of(own), layers=[6], heads=asked)
    assert {cell.key.split(".")[1].split("-")[0]: str(cell.role) for cell in every} == found


def test_the_deciding_layer_still_counts():
    roles = {cell.key: str(cell.role) for cell in cells(claim_of((0, 1)), layers=[5, 6], deciding=6)}
    assert roles == {
        "mine-L05.H00-K": "beside", "mine-L05.H01-K": "beside", "mine-L06.H00-K": "decides", "mine-L06.H01-K": "decides"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("own", "asked", "group", "found"),
    [
        # (head, over how many, role)
        ("all", None, "Q", [(h, 6, "decides") for h in range(6)]),
        ("all", None, "K", [(0, 2, "decides"), (3, 2, "decides")]),  # three query heads read one key head
        ("all", None, "QK", [(h, 6, "decides") for h in range(6)]),
        ((0, 1, 2, 3), None, "K", [(0, 2, "decides"), (1, 2, "decides"), (2, 2, "decides"), (3, 2, "decides")]),
        ((0, 1, 2, 3), (1,), "Q", [(1, 4, "decides")]),  # selecting some makes no interval narrower
        (None, (1, 4), "Q", [(1, 2, "decides"), (4, 2, "decides")]),
        ((1,), (1, 2, 4), "Q", [(1, 1, "decides"), (2, 2, "beside"), (4, 2, "beside")]),
        ((1,), "all", "K", [(1, 1, "decides"), (3, 1, "beside")]),  # not lost because head 0 reads the same
        ((1,), (1, 2, 4), "K", [(1, 1, "decides"), (2, 1, "beside"), (4, 1, "beside")]),
        ((0,), "all", "K", [(0, 1, "decides"), (3, 1, "beside")]),
        ((4,), None, "K", [(4, 1, "decides")]),
    ],
)
def test_heads_are_found_out_when_it_is_known_how_many_there_are(own, asked, group, found):
    claim = claim_of(own, groups=(group,), primary=(Comparison(group, "cosine"),))
    every = [one for cell in cells(claim, layers=[6], heads=asked) for one in at_heads(claim, cell, GROUPED)]
    assert [(one.head, one.over, str(one.role)) for one in every] == found
    assert [one.key for one in every] == [f"mine-L06.H{head:02d}-{group}" for head, *_ in found]


def test_what_a_head_reads_goes_with_its_cell():
    (cell,) = cells(claim_of((4,)), layers=[6])
    assert at_heads(claim_of((4,)), cell, GROUPED)[0].reads == {"Q": 4, "K": 1, "V": 1}


def test_unknown_heads_are_no_silent_pass():
    (cell,) = cells(claim_of("all"), layers=[6])
    with pytest.raises(NotCapturedError, match="how many heads"):
        at_heads(claim_of("all"), cell, {})


def test_exact_claims_have_no_heads():
    exact = Claim("E", "says", "other", Direction.EXACT, None, kind=Kind.EXACT, groups=("QKV",))
    assert [cell.head for cell in cells(exact, layers=[6], heads=(1, 2))] == [None]


# Claims files and markers ---------------------------------------------------------------------------


def test_a_marker_names_heads():
    made = {"id": "x", "statistic": "row_mean", "group": "K", "above": 0.5}
    assert claim_of_marker({**made, "head": 3}, None).heads == (3,)
    assert claim_of_marker({**made, "heads": "0-2"}, None).heads == (0, 1, 2)
    assert claim_of_marker(made, None).heads is None
    claim = claim_of_marker({**made, "heads": "0-2"}, None)
    keys = [cell.key for cell in cells_of_marker(claim, {"head": 1}, layers=[6], deciding=None, heads=(0, 1))]
    assert keys == ["x-L06.H01-K"]  # a marker's own coordinates come first, as with layers
    keys = [cell.key for cell in cells_of_marker(claim, {}, layers=[6], deciding=None, heads=(0, 5))]
    assert keys == ["x-L06.H00-K", "x-L06.H05-K"]


@pytest.mark.parametrize(
    ("line", "heads", "message"),
    [
        ("heads = 3", (3,), None),
        ('heads = "0-2"', (0, 1, 2), None),
        ("heads = [0, 5]", (0, 5), None),
        ('heads = "all"', "all", None),
        ("", None, None),
        ('heads = "some"', None, "claim 'A': heads is 'some'; it has to be a whole number from 0 to 1023, a list"),
        ("heads = -1", None, "heads is -1; it has to be"),
        ("heads = 1.5", None, "heads is 1.5; it has to be"),
        ("head = 3", None, "key 'head' is not known. Did you mean 'heads'"),
    ],
)
def test_a_claims_file_names_heads(line, heads, message, tmp_path):
    text = (
        'schema = "qkvcheck/claims/1"\n[[claim]]\nid = "A"\nstatement = "says"\nstatistic = "row_mean"\n'
        'direction = "above"\nthreshold = 0.5\naxis = "contexts"\ngroups = ["K"]\nprimary = [["K", "cosine"]]\n'
    )
    (tmp_path / "claims.toml").write_text(text + line)
    if message is None:
        assert load_claims(tmp_path / "claims.toml").claims["A"].heads == heads
        return
    with pytest.raises(ClaimError, match=message.replace("(", r"\(")):
        load_claims(tmp_path / "claims.toml")


def test_an_exact_claim_of_a_file_has_no_heads(tmp_path):
    (tmp_path / "claims.toml").write_text(
        'schema = "qkvcheck/claims/1"\n[[claim]]\nid = "A"\nstatement = "says"\nstatistic = "other"\n'
        'direction = "exact"\ngroups = ["QKV"]\nprimary = [["QKV", "cosine"]]\nheads = 3\n'
    )
    with pytest.raises(ClaimError, match="an exact claim has no heads; leave them out"):
        load_claims(tmp_path / "claims.toml")


# What is judged -------------------------------------------------------------------------------------


def judged(claim: Claim, *, heads=None, **more) -> list:
    given = captured()
    every = [one for cell in cells(claim, layers=[6], heads=heads) for one in at_heads(claim, cell, GROUPED)]
    return [judge_sample(claim, c, sample_of(given, layer=6, head=c.at_head), **more) for c in every]


def test_a_head_is_judged_on_its_own_columns():
    (verdict,) = judged(claim_of((4,)))
    alone = captured().at(6)[:, 14:16]  # head 4 reads the second of two key heads
    by_hand = qkvcheck.judge(alone, statistic="row_mean", group="K", above=0.5)
    assert (verdict.estimate, verdict.low, verdict.high) == (by_hand.estimate, by_hand.low, by_hand.high)
    assert (verdict.key, verdict.head, verdict.simultaneous, verdict.level) == ("mine-L06.H04-K", 4, False, 0.95)
    assert verdict.evidence.heads.reads == {"Q": 4, "K": 1, "V": 1}
    assert verdict.evidence.heads.interval == "of this head alone"
    assert verdict.evidence.context_matrix is None  # no pictures of each of many heads


def test_intervals_hold_for_all_heads_at_once():
    """The level is split over the heads: Bonferroni, by hand from Student's quantiles."""
    claim = claim_of((0, 1, 3, 5), groups=("Q",), primary=(Comparison("Q", "cosine"),))
    several = judged(claim)
    for verdict in several:
        alone = judged(claim_of((verdict.head,), groups=("Q",), primary=(Comparison("Q", "cosine"),)))[0]
        assert verdict.estimate == alone.estimate
        ends = np.arctanh([verdict.low, verdict.high, alone.low, alone.high])  # the interval is formed in Fisher's z
        wider = (ends[1] - ends[0]) / (ends[3] - ends[2])
        assert wider == pytest.approx(stdtrit(29, 1 - 0.05 / 4 / 2) / stdtrit(29, 0.975), rel=1e-9)
        assert (verdict.level, verdict.simultaneous) == (pytest.approx(0.9875), True)
        assert verdict.evidence.heads.interval == "simultaneous over 4 heads"


def test_controls_have_the_same_level():
    claim = claim_of((0, 1), controls=("non-target",), groups=("Q",), primary=(Comparison("Q", "cosine"),))
    other = sample_of(captured(1), layer=6, head=0)
    two, one = (
        judged(c, controls={"non-target": other})[0].controls[0]
        for c in (claim, claim_of((0,), controls=("non-target",), groups=("Q",), primary=claim.primary))
    )
    assert two.difference == one.difference
    wider = (two.high - two.low) / (one.high - one.low)
    clusters = 30  # rows of the two samples are paired by their number
    assert wider == pytest.approx(stdtrit(clusters - 1, 1 - 0.05 / 4) / stdtrit(clusters - 1, 0.975), rel=1e-9)


def test_cells_beside_the_claim_hold_over_heads_and_cells():
    claim = claim_of((0, 1), groups=("Q", "K", "V"), measures=("cosine",))
    every = [one for cell in cells(claim, layers=[6]) for one in at_heads(claim, cell, {"Q": 6, "K": 6, "V": 6})]
    family = [cell for cell in every if cell.role == Role.FAMILY and cell.head == 0]
    sample = sample_of(captured(), layer=6, head=0)
    both = judge_sample(claim, family[0], sample, family=family)
    alone = judge_sample(claim, family[0], sample)
    assert len(family) == 2
    assert both.simultaneous
    assert both.high - both.low > alone.high - alone.low


def test_a_claim_about_every_layer_is_judged_in_one_head():
    claim = claim_of((1, 2), statistic="variance", kind=Kind.EVERY_LAYER, groups=("QQ",), axis="dimensions",
                     primary=(Comparison("QQ", "cosine"),))  # fmt: skip
    wide = {"Q": 2, "K": 2, "V": 2}
    given = captured(layers=(0, 1, 2))
    given = Activations(given.values, given.axes, given.layers, PLACES, heads=wide)
    cell = at_heads(claim, cells(claim, layers=[1])[0], wide)[0]
    found = judge_layers(claim, cell, given)
    cut = Activations(given.values[..., 6:12], given.axes, given.layers, {"Q": slice(0, 6)})
    alone = judge_layers(claim_of(statistic="variance", kind=Kind.EVERY_LAYER, groups=("QQ",), primary=claim.primary),
                         cells(claim_of(groups=("QQ",)), layers=[1])[0], cut)  # fmt: skip
    assert (found.head, found.estimate, found.level) == (1, pytest.approx(alone.estimate), 0.975)
    assert found.high - found.low > alone.high - alone.low
    assert found.verdict in (Decision.SUPPORTED, Decision.REFUTED, Decision.INCONCLUSIVE)


def test_untrained_networks_are_asked_in_the_same_head():
    claim = claim_of((1, 4), kind=Kind.AGAINST_UNTRAINED, groups=("Q",), primary=(Comparison("Q", "cosine"),),
                     controls=("untrained",))  # fmt: skip
    given, networks = captured(), [captured(seed) for seed in range(1, 21)]
    cell = at_heads(claim, cells(claim, layers=[6])[1], GROUPED)[0]
    seeds = GivenNetworks(networks).at(6, given, head=4)
    verdict = judge_against_untrained(claim, cell, sample_of(given, layer=6, head=4), {"untrained": seeds})
    numbers = [number_of(one, claim, cell) for one in (given, *networks)]
    assert verdict.estimate == pytest.approx(numbers[0] - np.mean(numbers[1:]))
    assert (verdict.level, verdict.head) == (0.975, 4)
    alone = claim_of((4,), kind=Kind.AGAINST_UNTRAINED, groups=("Q",), primary=claim.primary, controls=("untrained",))
    narrow = judge_against_untrained(
        alone, at_heads(alone, cells(alone, layers=[6])[0], GROUPED)[0], sample_of(given, layer=6, head=4),
        {"untrained": seeds},
    )  # fmt: skip
    assert verdict.high - verdict.low > narrow.high - narrow.low


def test_counts_have_bounds_of_that_level():
    claim = claim_of((0, 3), statistic="least_row_mean", measures=("cosine",))
    given = (captured(2), captured())
    cell = at_heads(claim, cells(claim, layers=[6])[0], GROUPED)[0]
    verdict = judge_sample(claim, cell, sample_of(given, layer=6, head=0))
    assert verdict.evidence.violations.confidence == level_of(cell) == 0.975
    assert "at 97.50% confidence" in verdict.reason


def test_a_verdict_of_a_head_survives_json():
    (verdict,) = judged(claim_of((4,)))
    back = verdict_from_dict(json.loads(json.dumps(verdict.to_dict())))
    assert back.to_dict() == verdict.to_dict()
    assert (back.head, back.evidence.heads.reads) == (4, {"Q": 4, "K": 1, "V": 1})


# Arrays ---------------------------------------------------------------------------------------------


def test_an_array_is_judged_in_one_head():
    rows = captured().at(6)
    kept = {"statistic": "row_mean", "above": 0.5}
    found = qkvcheck.judge(rows, group="K", heads=GROUPED, head=4, projections=PLACES, **kept)
    assert found.key == "claim-L00.H04-K"
    assert found.estimate == qkvcheck.judge(rows[:, 14:16], group="K", **kept).estimate
    # The keys alone: their own heads.
    assert qkvcheck.judge(rows[:, 12:16], group="K", heads=2, head=1, **kept).estimate == found.estimate
    # Without places they follow from the heads.
    pair = {"statistic": "variance", "above": 0.5, "group": "QK"}
    assert (
        qkvcheck.judge(rows, heads=GROUPED, head=4, **pair).estimate
        == qkvcheck.judge(rows[:, [8, 9, 14, 15]], projections={"Q": slice(0, 2), "K": slice(2, 4)}, **pair).estimate
    )
    assert (
        qkvcheck.judge(rows, heads=GROUPED, **pair).estimate
        == qkvcheck.judge(rows, projections=PLACES, **pair).estimate
    )


def test_controls_of_an_array_are_cut_too():
    rows, other = captured().at(6), captured(1).at(6)
    kept = {"statistic": "row_mean", "above": 0.5, "group": "K"}
    found = qkvcheck.judge(rows, heads=GROUPED, head=4, projections=PLACES, controls={"other": other}, **kept)
    alone = qkvcheck.judge(rows[:, 14:16], controls={"other": other[:, 14:16]}, **kept)
    assert found.controls[0].estimate == alone.controls[0].estimate


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"head": 1}, ClaimError, "head is 1 and heads None; give a number from 0, and how many"),
        ({"head": -1, "heads": 5}, ClaimError, "head is -1 and heads 5"),
        ({"head": 5, "heads": 5}, CaptureError, r"no head 5 \(zero-based\); a layer has 5"),
        ({"head": 0, "heads": 3}, ClaimError, "heads 3 make no sense: 3 heads do not divide the width 20 of K"),
        ({"group": "QK", "heads": {"Q": 3}}, ClaimError, r"a width of 20 is not that of heads \{'Q': 3\}"),
        ({"group": "QK", "heads": {"Q": 3, "K": 3, "V": 3}}, ClaimError, "a width of 20 is not that of heads"),
    ],
)
def test_heads_of_an_array_that_make_no_sense(given, error, message):
    with pytest.raises(error, match=message):
        qkvcheck.judge(captured().at(6), **{"group": "K", "statistic": "row_mean", "above": 0.5, **given})
