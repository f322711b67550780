"""Report: words, colours and counts of the claims table."""

from __future__ import annotations

from dataclasses import replace

from qkvcheck.claims.evidence import Evidence, MergedContexts, ProfilePoint, SeedRange
from qkvcheck.claims.verdict import ControlResult, Verdict
from qkvcheck.record.finding import Finding, label
from qkvcheck.record.run import Seen
from qkvcheck.report.explain import explain_lines
from qkvcheck.report.terminal import colour_of, quiet_lines, summary_lines
from qkvcheck.report.texts import control_text, failure_text
from qkvcheck.statistics.measurement import Distribution
from qkvcheck.statistics.offset import OffsetParts
from tests.made_up import make_run, make_verdict

RUN = make_run(
    layers=(5, 6),
    model={"spec": "embedded", "slug": "embedded", "source": "ships with qkvcheck", "fingerprint": "0123456789abcdef",
           "layers": 12, "parameters": 2_559_744, "stand_in": True},
    corpus={"name": "replication", "padded_shape": [54, 8, 384], "first_words": 47,
            "seen": Seen({"2": 37, "3": 17}, {"8": 54}, 210, [2] * 37 + [3] * 17)},
)  # fmt: skip


def make(verdict="SUPPORTED", *, claim="P3a", group="QQ", layer=6, role="decides", estimate=0.5, **more) -> Verdict:
    fields = {"threshold": 0.4444, "n": 54, "n_distinct": 54, "qualifier": ("stand-in",), **more}
    key = f"{claim}-L{layer:02d}-{group}"
    nothing = {"low": None, "high": None, "level": None}
    told = {"verdict": verdict, "role": role, "estimate": estimate, "statement": f"{claim} says"}
    return make_verdict(key, **{**nothing, **told, **fields})


def text_of(findings, **options) -> str:
    return "\n".join(line.text for line in summary_lines(RUN, findings, **options))


def test_labels_and_colours():
    cases = [
        (Finding(make()), "supported on the stand-in", "green"),
        (Finding(make(qualifier=())), "supported", "green"),
        (Finding(make(qualifier=("also holds untrained",))), "supported, also holds untrained", "yellow"),
        (Finding(make("REFUTED")), "refuted on the stand-in", "red"),
        (Finding(make("REFUTED"), "REFUTED"), "refuted (recorded) on the stand-in", "yellow"),
        (Finding(make("REFUTED", role="family", qualifier=())), "refuted", "yellow"),
        (Finding(make(), "REFUTED", "was other"), "supported (CHANGED) on the stand-in", "red"),
        (Finding(make("NOT JUDGED", estimate=None, qualifier=())), "NOT JUDGED", "yellow"),
    ]
    for finding, words, colour in cases:
        assert (label(finding), colour_of(finding)) == (words, colour)


def test_header_says_what_was_measured():
    text = text_of([Finding(make())])
    assert "embedded (ships with qkvcheck), a stand-in for GPT-2 small" in text
    assert "12 layers, 2,559,744 parameters, float32 on cpu, fingerprint 0123456789ab" in text
    assert "replication: 54, of them 54 distinct left of the target; 47 first tokens" in text
    assert "' her' at index 2 (37), 3 (17); it can't see the 210 tokens after it" in text
    assert "54 x 8 x 384 at layers 5, 6 (zero-based" in text
    assert "no result about GPT-2" in text


def test_contexts_that_count_with_others_are_told_once():
    """With the numbers, and in which claims; not where a reason says it already."""
    why = "6 have the tokens of another up to the target"
    merged = Evidence(merged=[MergedContexts(6, 54, 48, why)])
    findings = [Finding(make(claim=claim, group=group, evidence=merged)) for claim in ("P3a", "P5") for group in "QK"]
    text = text_of([*findings, Finding(make(claim="P6"))])
    assert f"merged    48 distinct contexts of 54 at layer 6: {why} (in P3a, P5)" in text
    assert text.count("48 distinct contexts") == 1
    assert "merged" not in text_of([Finding(make(claim="P6"))])
    reason = f"48 distinct contexts of 54 ({why}); at least 60 are needed"
    told = text_of([Finding(make("NOT JUDGED", estimate=None, reason=reason, evidence=merged))])
    assert told.count("48 distinct contexts") == 1
    assert f"54, 48 of them distinct ({why})" in failure_text(Finding(make(n_distinct=48, evidence=merged)), RUN)


def test_a_control_says_how_many_of_its_contexts_are_distinct():
    control = ControlResult("non-target", 0.3, 0.2, False, n=54, n_distinct=31)
    assert control_text(control).endswith("; 31 distinct contexts of 54")
    assert "distinct" not in control_text(replace(control, n_distinct=54))


def test_notices_only_where_they_belong():
    plain = replace(RUN, origin=replace(RUN.origin, stand_in=False, untrained=True))
    lecture = replace(plain, corpus=replace(RUN.corpus, lecture=True))
    text = "\n".join(line.text for line in summary_lines(lecture, [Finding(make())]))
    assert "stand-in" not in text.replace("on the stand-in", "")
    assert "the lecture's own 54 sentences" in text
    assert "This network is untrained" in text
    assert "lecture" not in text_of([Finding(make())])


def test_row_holds_interval_threshold_and_controls():
    controls = (ControlResult("untrained", 0.21, 0.29, False), ControlResult("different-words", 0.33, 0.17, False))
    verdict = make(controls=controls, low=0.46, high=0.54, offset_share=0.976)
    (row,) = [line for line in text_of([Finding(verdict)]).splitlines() if "L06 QQ" in line]
    assert row.split() == ["L06", "QQ", "cosine", "0.5000", "[0.4600,", "0.5400]", ">", "0.4444", "0.3300", "0.2100",
                           "98%", "supported", "on", "the", "stand-in"]  # fmt: skip


def test_a_long_name_stands_apart_from_its_statement():
    assert "\nkeys-stable keys-stable says\n" in text_of([Finding(make(claim="keys-stable"))])
    assert "\nP3a    P3a says\n" in text_of([Finding(make())])


def test_inconclusive_tells_what_would_settle_it():
    text = text_of([Finding(make("INCONCLUSIVE", n_needed=210, qualifier=()))])
    assert "P3a-L06-QQ is open: some 210 distinct contexts would just settle it" in text
    assert "1 claim: 0 supported on the stand-in, 0 refuted on the stand-in, 1 inconclusive on the stand-in" in text


def test_control_texts():
    cases = [
        (ControlResult("shuffled", 0.0185, 0.4, False, kind="reference", reason="closed form"),
         "0.0185 (closed form; a line to read by)"),
        (ControlResult("untrained", 0.3, 0.2, True, 0.1, 0.3, "specific", kind="seeds", seeds=19, passing=12,
                       p_value=0.05),
         "0.3000, mean of 19 seeds (plug-in); 12 of them meet the criterion; difference +0.2000 [+0.1000, +0.3000]: "
         "specific (p = 0.05 as one more seed)"),
        (ControlResult("other-token", None, None, None, reason="none"), "not measured (none)"),
        (ControlResult("non-target", 0.4, 0.1, False, 0.05, 0.15, "specific"),
         "0.4000, misses the same criterion; difference +0.1000 [+0.0500, +0.1500]: specific"),
    ]  # fmt: skip
    for control, text in cases:
        assert control_text(control) == text


def test_family_is_counted_and_listed_only_when_asked():
    findings = [
        Finding(make()),
        Finding(make("REFUTED", group="KK", role="family")),
        Finding(make(group="VV", role="family")),
    ]
    assert "1 of 2 other cells supported" in text_of(findings)
    assert "L06 KK" not in text_of(findings)
    assert "L06 KK" in text_of(findings, every_cell=True)


def test_claims_are_counted_by_the_cells_that_decide():
    findings = [
        Finding(make()),
        Finding(make("REFUTED", group="KK", role="family")),
        Finding(make("REFUTED", layer=5, role="beside")),
        Finding(make(claim="P5", group="Q")),
        Finding(make("REFUTED", claim="P5", group="K")),
        Finding(make("NOT JUDGED", claim="P9")),
        Finding(make(claim="P6", qualifier=("stand-in", "also holds untrained"))),
        Finding(make(claim="P7", role="family")),
    ]
    want = (
        "4 claims: 2 supported on the stand-in, 1 refuted on the stand-in, 1 not judged; "
        "1 of the supported also in an untrained network"
    )
    assert want in text_of(findings)
    assert [line.text for line in quiet_lines(RUN, findings)] == [f"qkvcheck: embedded: {want}"]
    assert "1 claim: 1 supported" in text_of(findings[:1])


def test_exact_cells_share_a_line():
    findings = [Finding(make(group=g, threshold=None, estimate=None)) for g in ("KK", "QQ", "QK")]
    assert "L06 QQ KK QK" in text_of(findings)


def test_dependent_claims_are_told():
    near = {"P3a": ("P4", "P5"), "P4": ("P3a", "P5"), "P5": ("P3a", "P4")}
    findings = [Finding(make(claim=claim, not_independent_of=others)) for claim, others in near.items()]
    assert "not independent evidence" in text_of(findings)
    assert "not independent evidence" not in text_of(findings[:2])


def test_gate_off_is_said():
    assert "The gate is off: nothing here. Record" in text_of([Finding(make())], gate_off="nothing here")


def test_failure_text_is_a_short_table():
    controls = (
        ControlResult("untrained", 0.21, 0.29, False),
        ControlResult("shuffled", None, None, None, reason="few"),
    )
    verdict = make("REFUTED", controls=controls, estimate=0.25, low=0.2, high=0.3, reason="so it is", plug_in=0.26,
                   clusters=47, cluster_kind="first token")  # fmt: skip
    text = failure_text(Finding(verdict), RUN)
    for part in ("P3a: P3a says", "0.2500 [0.2000, 0.3000]", "> 0.4444", "54, 54 of them distinct; 47 clusters by",
                 "6 (zero-based)", "embedded, seed 0", "0.2100, misses the same criterion", "not measured (few)",
                 "so it is", "0.2600 on these contexts", "--qkv-update=all"):  # fmt: skip
        assert part in text
    assert len(text.splitlines()) <= 15


def test_explanation_tells_the_whole_story():
    evidence = Evidence(
        offset=OffsetParts(0.5, 0.4, 0.02, 0.08, 0.41, 0.1, 0.02),
        distribution=Distribution([5] + [0] * 98 + [10], 15, {}, 0.3, 0.6, 0),
        profile=[
            ProfilePoint(0, None, None, None, 4, "too few"),
            ProfilePoint(1, 0.5, 0.4, 0.6, 54, untrained=SeedRange(0.3, 0.2, 0.35)),
        ],
    )
    controls = (ControlResult("untrained", 0.21, 0.29, False),)
    finding = Finding(make(evidence=evidence, controls=controls, source="Section 3", claims_sha256="abc"), "SUPPORTED")
    text = "\n".join(explain_lines(finding, RUN))
    for part in ("P3a-L06-QQ", "Section 3", "untrained  networks of the same shape with random weights",
                 "offset 0.4000 + cross 0.0200",
                 "layer 1  0.5000 [0.4000, 0.6000]; untrained 0.3000 (0.2000 to 0.3500)", "layer 0  too few",
                 "-1 |▄", "█| 1", "sha256 abc", "on record"):  # fmt: skip
        assert part in text
