"""The forest: its picture and its table have the findings' numbers, in the order that a reader needs them."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

import pytest

from qkvcheck.claims.claim import Tag
from qkvcheck.claims.evidence import Evidence, ProfilePoint, SeedRange
from qkvcheck.claims.verdict import ControlResult, Decision
from qkvcheck.record.finding import Finding
from qkvcheck.record.results import Results
from qkvcheck.record.shift import Outcome, Shift
from qkvcheck.report.figures.scale import Scale, shared_scale
from qkvcheck.report.forest import DOTS, forest, plain_sentence
from qkvcheck.report.page import page
from qkvcheck.report.page_claims import page_cell
from qkvcheck.report.tally import by_claim
from tests.made_up import make_run, make_verdict, page_of_synthetic, synthetic
from tests.report.test_page import EVIL, Reader
from tests.report.test_poison import hostile, poisoned

SEEDS = tuple(round(0.31 + 0.013 * seed, 4) for seed in range(19))
UNTRAINED = ControlResult(
    "untrained", sum(SEEDS) / 19, 0.1, passes=False, kind="seeds", seeds=19, passing=0, by_seed=SEEDS
)
WORDS = ControlResult("different-words", 0.25, 0.25, False, 0.2, 0.3, "specific")


def rows_of(text: str) -> list[tuple[str, list[str]]]:
    """Return the claims of a page's forest, in its order: an id and the markup of its lines."""
    table = re.search(r'<table class="forest".*?</table>', text, re.DOTALL)
    assert table is not None
    found = []
    for body in re.findall(r"<tbody role=.*?</tbody>", table[0], re.DOTALL):
        identity = re.search(r'<th scope="rowgroup".*?<a [^>]*>(.*?)</a>', body, re.DOTALL)
        assert identity is not None
        found.append((unescape(identity[1]), re.findall(r"<tr.*?</tr>", body, re.DOTALL)))
    return found


def places(line: str, mark: str, attribute: str) -> list[float]:
    """Return where marks stand, in percent of the width."""
    return [float(value) for value in re.findall(rf'class="{mark}"[^>]*? {attribute}="([-\d.]+)%"', line)]


def numbers(line: str, mark: str, attribute: str, scale: Scale) -> list[float]:
    """Return the numbers for which marks stand, by the definition: 2 % of the width at low, 98 % at high."""
    return [scale.low + (at - 2) / 96 * (scale.high - scale.low) for at in places(line, mark, attribute)]


def drawn(*verdicts) -> tuple[Results, str]:
    results = Results(make_run(), tuple(Finding(verdict) for verdict in verdicts))
    return results, page([results], short=True)


@pytest.mark.parametrize("scale", [Scale(0.0, 1.0), Scale(-0.5, 1.0)], ids=["from 0", "from -0.5"])
def test_the_picture_stands_where_the_numbers_are(scale):
    least = 0.8 * scale.low
    verdict = make_verdict(estimate=0.51, low=0.44, high=0.63, threshold=0.6, controls=(UNTRAINED, WORDS))
    other = make_verdict("M-L06-K", estimate=least, low=least, high=least + 0.01)
    _, text = drawn(verdict, other)
    ((line,),) = (lines for identity, lines in rows_of(text) if identity == "P3a")
    step = 0.005 / 96 * (scale.high - scale.low) + 1e-9  # places have two digits
    assert numbers(line, "estimate", "cx", scale) == [pytest.approx(0.51, abs=step)]
    assert numbers(line, "interval", "x1", scale) == [pytest.approx(0.44, abs=step)]
    assert numbers(line, "interval", "x2", scale) == [pytest.approx(0.63, abs=step)]
    assert numbers(line, "bound", "x1", scale) == [pytest.approx(0.6, abs=step)]
    assert numbers(line, "asked", "x", scale) == [pytest.approx(0.6, abs=step)]
    assert numbers(line, "dot", "cx", scale) == pytest.approx(SEEDS, abs=step)
    (at,) = re.findall(r'<svg x="([\d.]+)%"[^>]*class="other"', line)
    assert scale.low + (float(at) - 2) / 96 * (scale.high - scale.low) == pytest.approx(0.25, abs=step)


def test_the_table_beside_it_has_the_same_numbers():
    verdict = make_verdict(estimate=0.51, low=0.44, high=0.63, threshold=0.6, controls=(UNTRAINED, WORDS))
    _, text = drawn(verdict)
    ((_, (line,)),) = rows_of(text)
    cells = [unescape(cell) for cell in re.findall(r'<td class="number"[^>]*>(.*?)</td>', line)]
    assert cells == ["0.5100 [0.4400, 0.6300]", "> 0.6", f"{SEEDS[0]:.4f} to {SEEDS[-1]:.4f}", "0.2500"]


def test_every_deciding_cell_of_a_run_is_there():
    results = synthetic()
    found = rows_of(page_of_synthetic())
    deciding = [finding.verdict for finding in results.findings]
    assert [identity for identity, _ in found] == ["P3a", "P5", "P8"]
    assert sum(len(lines) for _, lines in found) == len(deciding)
    for line in (line for _, lines in found for line in lines):
        assert "0.5000 [0.4600, 0.5400]" in line
        assert len(places(line, "estimate", "cx")) == 1


def test_the_papers_own_claims_come_first_and_exploratory_ones_last():
    tags = {"E": Tag.EXTENSION, "M": Tag.MEASUREMENT, "R": Tag.READING, "P": Tag.PAPER, "N": None}
    verdicts = [make_verdict(f"{name}-L06-Q", tag=tag, order=place) for place, (name, tag) in enumerate(tags.items())]
    late = make_verdict("X-L06-Q", tag=Tag.PAPER, qualifier=("exploratory",), order=-1)
    _, text = drawn(late, *verdicts)
    assert [identity for identity, _ in rows_of(text)] == ["P", "R", "E", "M", "N", "X"]
    headings = re.findall(r'scope="colgroup"[^>]*>(.*?)</th>', text)
    assert headings[0] == "The paper&#39;s own words"
    assert headings[-1] == "Exploratory: written after the model had been looked at"


def test_a_run_without_tags_has_no_headings():
    _, text = drawn(make_verdict())
    assert 'scope="colgroup"' not in text


def test_shade_is_on_the_side_that_is_asked_for():
    _, text = drawn(make_verdict(direction="at_most", threshold=0.6))
    ((_, (line,)),) = rows_of(text)
    (bound,) = places(line, "bound", "x1")
    assert f'<rect class="asked" x="0" width="{bound}%"' in line
    assert "≤ 0.6" in line


def test_a_number_beyond_the_scale_has_a_scale_of_its_own():
    results, text = drawn(make_verdict(), make_verdict("M-L06-K", estimate=37.0, low=35.0, high=41.0, threshold=30.0))
    lines = dict(rows_of(text))
    assert '<span class="ends"><span>0</span><span>50</span></span>' in lines["M"][0]
    assert numbers(lines["M"][0], "estimate", "cx", Scale(0, 50)) == [pytest.approx(37.0, abs=0.01)]
    assert "ends" not in lines["P3a"][0]
    assert forest(by_claim(results.findings), anchors={"P3a": "a", "M": "b"}).own_scales
    assert shared_scale([0.5, 37.0]) == Scale(0.0, 1.0)
    assert "where other ends stand beneath" in text


def test_what_is_not_known_of_single_networks_is_told_as_what_it_is():
    mean = replace(UNTRAINED, by_seed=None, estimate=0.42)
    many = replace(UNTRAINED, by_seed=tuple(0.1 + 0.001 * n for n in range(DOTS + 1)), seeds=DOTS + 1)
    profile = [ProfilePoint(9, 0.3, 0.2, 0.4, 54, untrained=SeedRange(0.2, 0.125, 0.25))]
    every = Evidence(profile=profile, least_at_layer=9)
    _, text = drawn(
        make_verdict("A-L06-Q", controls=(mean,)),
        make_verdict("B-L06-Q", controls=(many,)),
        make_verdict("C-L06-Q", kind="every_layer", evidence=every),
        make_verdict("D-L06-Q", kind="against_untrained", controls=(UNTRAINED,)),
    )
    lines = {identity: line for identity, (line,) in rows_of(text)}
    assert "mean 0.4200" in lines["A"]
    assert numbers(lines["A"], "dot", "cx", Scale(0, 1)) == [pytest.approx(0.42, abs=1e-4)]
    assert places(lines["B"], "dot", "cx") == []
    assert numbers(lines["B"], "span", "x2", Scale(0, 1)) == [pytest.approx(0.1 + 0.001 * DOTS, abs=1e-4)]
    assert "0.1250 to 0.2500" in lines["C"]
    assert "Q L09" in lines["C"]
    assert "0.31" not in lines["D"]  # its estimate is the difference from them


def test_verdicts_are_words_and_cells_that_differ_are_named():
    control = replace(UNTRAINED, low=0.05, high=0.2, specificity="specific")
    _, text = drawn(
        make_verdict("A-L06-Q", controls=(control,)),
        make_verdict("A-L06-K", verdict="REFUTED"),
        make_verdict("B-L06-Q", qualifier=("also holds untrained",)),
        make_verdict("C-L06-Q", verdict="NOT JUDGED", estimate=None, low=None, high=None, reason="too few contexts"),
        make_verdict("D-L06-Q", direction="exact", threshold=None, estimate=None, low=None, high=None),
    )
    told = {identity: " ".join("".join(Reader(lines[0]).text).split()) for identity, lines in rows_of(text)}
    assert told["A"].endswith("refuted Q supported; K refuted")
    assert told["B"].endswith("supported untrained ones too")
    assert told["C"].endswith("too few contexts not judged")
    assert told["D"].endswith("an exact condition, without an interval supported true of any network")


@pytest.mark.parametrize(
    ("statement", "plain"),
    [
        ("cosines have two poles: Var(cos) > 4/9, which no law on [-1, 1] reaches", "Cosines have two poles"),
        ("the literal reading: rows have two poles, Var > 4/9", "The literal reading: rows have two poles"),
        ("alike in Q, K and V", "Alike in Q, K and V"),
        ("x > 1, y", "X > 1, y"),
        ("", ""),
    ],
)  # fmt: skip
def test_the_sentence_ends_before_its_formula(statement, plain):
    assert plain_sentence(statement) == plain


def test_hostile_texts_are_texts_in_both_versions():
    results = poisoned(synthetic(contexts=6), None)
    assert hostile(page([results], short=True)) == []
    long = tuple(replace(f, verdict=replace(f.verdict, statement=EVIL[2], reason=EVIL[3])) for f in results.findings)
    text = page([Results(results.run, long)], short=True)
    assert hostile(text) == []
    assert "x" * 200 not in re.search(r'<table class="forest".*?</table>', text, re.DOTALL)[0]


VOID = ("meta", "link", "input", "br", "col", "path", "image")


class Unfolded(Reader):
    """Collects the text that is seen before anything is opened, pictures left out."""

    def __init__(self, text: str) -> None:
        self.hidden: list[str] = []
        self.stack: list[tuple[str, bool]] = []
        super().__init__(text)

    def handle_starttag(self, tag, attrs):  # noqa: ARG002 (as HTMLParser calls it)
        inside = any(hides for _, hides in self.stack)
        folded = bool(self.stack) and self.stack[-1][0] == "details" and tag != "summary"
        if tag not in VOID:
            self.stack.append((tag, inside or folded or tag in ("svg", "style", "title")))

    def handle_endtag(self, tag):
        while tag not in VOID and self.stack and self.stack.pop()[0] != tag:
            pass

    def handle_data(self, data):
        if not any(hides for _, hides in self.stack):
            self.text.append(data)


def words_seen(text: str) -> int:
    return len(" ".join(Unfolded(text).text).split())


def test_what_is_not_folded_stays_short():
    """26 claims of two cells each."""
    claims = [make_verdict(f"C{n}-L06-{group}", controls=(UNTRAINED, WORDS), source="s " * 90, reason="why " * 40)
              for n in range(26) for group in ("Q", "K")]  # fmt: skip
    results = Results(make_run(), tuple(Finding(verdict) for verdict in claims))
    full, short = page([results]), page([results], short=True)
    assert words_seen(full) <= 1500
    assert words_seen(short) <= 1200
    assert len("".join(Reader(full).text).split()) > 3 * words_seen(full)  # the rest is there, folded


def test_the_short_version_has_picture_histograms_and_what_was_run():
    full, short = page_of_synthetic(), page([synthetic()], short=True)
    assert re.findall(r'<figure id="([^"]+)">', short) == ["histograms-6"]
    assert "<details" not in re.sub(r"<figure.*?</figure>", "", short, flags=re.DOTALL)
    assert re.search(r'<table class="forest".*?</table>', short, re.DOTALL)[0].count("<tr") == 1 + 15
    for told in ("What was run", "fingerprint", "f" * 12, "torch 2"):
        assert told in short
    assert "Words on this page" in full
    assert "Words on this page" not in short
    addresses = [value for name, value in Reader(short).attributes if name == "href" and value.startswith("#")]
    named = {value for name, value in Reader(short).attributes if name == "id"}
    assert {address[1:] for address in addresses} <= named


def test_a_flip_is_marked_on_the_page_whichever_way_it_went():
    for now, was in ((Decision.SUPPORTED, Decision.REFUTED), (Decision.REFUTED, Decision.SUPPORTED)):
        finding = Finding(make_verdict(verdict=now), compared=Shift(was, now, Outcome.FLIP))
        whole = page([Results(make_run(), (finding,))])
        assert f"{now.lower()} (FLIPPED)" in whole  # the forest's line
        assert f"{now.lower()} (FLIPPED from {was.lower()})" in whole
        assert page_cell(finding).kind == "changed"
