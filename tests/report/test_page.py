"""The page: its numbers are those of the run, its words are no stronger than the verdicts, its markup is its own."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html.parser import HTMLParser
from urllib.parse import unquote

import numpy as np
import pytest

from qkvcheck.capture.submission import read_submission
from qkvcheck.claims.evidence import Evidence, FoundExample
from qkvcheck.claims.verdict import ControlResult, Decision
from qkvcheck.cli import main
from qkvcheck.errors import SettingsError
from qkvcheck.plugin.description import describe_file_run
from qkvcheck.plugin.session import Session
from qkvcheck.record.finding import Finding, label
from qkvcheck.record.results import Results, load_results, write_results
from qkvcheck.report.page import page
from qkvcheck.report.page_claims import interval_bar
from qkvcheck.settings import Settings
from tests.conftest import ROOT
from tests.made_up import make_verdict, page_of_synthetic, search_record, synthetic

pytestmark = pytest.mark.needs_time

EVIL = [
    '<script>alert(1)</script> gave her $x^2$ & "more"',
    "נתן لها gave her 👩‍🔬 'quotes'",
    "x" * 10_000 + " gave her",
    "\x00\x1b[31m</style><img src=x onerror=alert(2)> gave her",
]


class Reader(HTMLParser):
    """Collects elements and text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text.append(data)


def test_texts_full_of_markup_are_text():
    results = synthetic(contexts=24, texts=[*EVIL, *(f"s{n} gave her" for n in range(20))])
    name = "<b onclick=alert(3)>bold</b>"
    run = replace(results.run, origin=replace(results.run.origin, spec=name))
    statement = "</h3><script>alert(4)</script>"
    findings = [
        replace(found, verdict=replace(found.verdict, statement=statement, reason=EVIL[place % len(EVIL)]))
        for place, found in enumerate(results.findings)
    ]
    text = page([Results(run, tuple(findings))])
    reader = Reader(text)
    assert not {"script", "img", "b onclick", "iframe", "object"} & set(reader.tags)
    assert not [key for key, _ in reader.attributes if key.startswith("on")]
    assert "<script" not in text
    assert name in "".join(reader.text)
    assert statement in "".join(reader.text)
    shown = "".join(reader.text)
    assert "<script>alert(1)</script> gave her" in shown
    assert "👩‍🔬" in shown
    assert "x" * 60 not in "".join(re.findall(r"<svg.*?</svg>", text, re.DOTALL))  # cut in pictures, whole in tables
    other = page([Results(run, tuple(findings)), results])
    assert "<script" not in other
    assert name in "".join(Reader(other).text)


def test_nothing_comes_from_elsewhere():
    reader = Reader(page_of_synthetic())
    addresses = [value for key, value in reader.attributes if key in ("href", "src", "xlink:href") and value]
    assert addresses
    assert all(address.startswith(("#", "data:")) for address in addresses)
    assert len([value for key, value in reader.attributes if key == "id"]) == len(
        {value for key, value in reader.attributes if key == "id"}
    )


def test_every_figure_has_its_words_and_its_numbers():
    text = page_of_synthetic()
    figures = re.findall(r'<figure id="([^"]+)">(.*?)</figure>', text, re.DOTALL)
    assert [name for name, _ in figures] == [
        "histograms-6", "pearson-6", "matrix-6", "offset-6", "scatter-6", "contexts-6-Q", "contexts-6-K",
        "contexts-6-V", "worst-6", "profile",
    ]  # fmt: skip
    for name, body in figures:
        assert re.search(r'<svg role="img" aria-label="[^"]{40,}"', body)
        assert "<figcaption>m, 24 contexts" in body
        (link,) = re.findall(rf'download="{name}.csv" href="data:text/csv;charset=utf-8,([^"]+)"', body)
        rows = list(csv.reader(io.StringIO(unquote(link))))
        assert len(rows) > 3
        assert len({len(row) for row in rows}) == 1


def test_csv_of_the_matrix_is_the_matrix():
    results, text = synthetic(), page_of_synthetic()
    (link,) = re.findall(r'download="contexts-6-K.csv" href="data:text/csv;charset=utf-8,([^"]+)"', text)
    rows = list(csv.reader(io.StringIO(unquote(link))))[1:]
    kept = next(f.verdict.evidence.context_matrix for f in results.findings if f.verdict.key == "P5-L06-K")
    matrix = np.array([[float(value) for value in row[1:]] for row in rows])
    np.testing.assert_allclose(matrix[np.triu_indices(24, k=1)], kept.above)
    np.testing.assert_array_equal(matrix, matrix.T)
    assert rows[0][0] == "sentence 0 gave her"


def test_links_of_the_overview_lead_to_their_claims():
    attributes = Reader(page_of_synthetic()).attributes
    named = {value for name, value in attributes if name == "id"}
    linked = {value[1:] for name, value in attributes if name == "href" and value and value.startswith("#")}
    assert {"claim-0", "claim-1", "claim-2", "findings"} <= linked
    assert linked <= named


def overview_of(text: str) -> str:
    return text.split("How each claim stands")[1].split("What was run")[0].split("</caption>")[1]


def test_table_has_each_control_in_its_own_column():
    control = ControlResult("untrained", 0.375, 0.125, False, 0.1, 0.2, "specific", kind="seeds", seeds=19, passing=0)
    words = ControlResult("different-words", 0.25, 0.25, False, 0.2, 0.3, "reversed")
    finding = Finding(make_verdict(controls=(control, words), offset_share=0.75))
    table = page([Results(synthetic().run, (finding,))]).split("The cells that decide, with 95% intervals")[1]
    row = re.search(r'<th scope="row">P3a-L06-QQ</th>(.*?)</tr>', table, re.DOTALL)
    assert row is not None
    numbers = [re.sub("<br>", " ", cell) for cell in re.findall(r'<td class="number">(.*?)</td>', row[1], re.DOTALL)]
    assert numbers == ["0.5000 [0.4600, 0.5400]", "&gt; 0.4444", "0.2500 reversed", "0.3750 specific", "75%"]


def test_green_is_kept_for_what_holds_beyond_random_weights():
    run = synthetic().run
    control = ControlResult("untrained", 0.1, 0.4, False, 0.3, 0.5, "specific", kind="seeds", seeds=19, passing=0)
    for fields, kind in (
        ({"controls": (control,)}, "supported"),
        ({"qualifier": ("also holds untrained",)}, "weak"),
        ({"threshold": None, "direction": "exact"}, "weak"),
    ):
        text = overview_of(page([Results(run, (Finding(make_verdict(**fields)),))]))
        assert re.findall(r'<strong class="([a-z-]+)">supported', text) == [kind]


def test_an_untrained_model_is_not_told_as_changed_by_training():
    run = synthetic().run
    control = ControlResult("untrained", 0.5, -0.1, True, -0.2, -0.1, "reversed", kind="seeds", seeds=19, passing=19)
    finding = Finding(make_verdict(verdict="REFUTED", controls=(control,)))
    untrained = replace(run, origin=replace(run.origin, untrained=True))
    assert "but met by most networks with random weights" in page([Results(run, (finding,))])
    assert "but met by most networks with random weights" not in page([Results(untrained, (finding,))])


def test_facts_say_how_the_stand_in_was_trained():
    run = synthetic().run
    record = {"edition": 2, "training_positions": 6144, "held_out_loss": 1.9357, "bigram_loss": 2.691}
    trained = replace(run, origin=replace(run.origin, stand_in=True, training=record))
    finding = (Finding(make_verdict()),)
    told = "tokens of generated English; its loss is 1.936 nats a token on held-out text, a bigram model's 2.691"
    assert f"edition 2; 6,144 {told}" in "".join(Reader(page([Results(trained, finding)])).text)
    assert "generated English" not in page([Results(run, finding)])


def test_of_activations_from_a_file_nothing_is_told_that_is_not_known(tmp_path):
    rows = np.random.default_rng(0).normal(size=(24, 9)).astype(np.float32)
    np.savez(tmp_path / "theirs.npz", target=rows, layers=np.array([6]), widths=np.array([3, 3, 3]))
    session = Session(Settings(activations=str(tmp_path / "theirs.npz")), None)
    run = describe_file_run(session, read_submission(tmp_path / "theirs.npz"))
    shown = "".join(Reader(page([Results(run, (Finding(make_verdict()),))])).text)
    assert "in 24 sentences were captured elsewhere" in shown
    assert "24 x 9: contexts x numbers of Q, K and V" in shown
    assert f"sha256 {run.origin.fingerprint[:12]}" in shown
    assert "unknown" not in shown
    assert "0 parameters" not in shown


@pytest.mark.long
def test_a_context_found_twice_is_drawn_once():
    results = synthetic()
    entry, other = FoundExample(0.5, "The teacher stopped her"), FoundExample(0.25, "He stopped her")
    for found, worst, count in ((entry, entry, 1), (entry, other, 2), (None, entry, 1)):
        evidence = Evidence(search=search_record(found=found, worst=worst))
        search = Finding(make_verdict("B9-L06-Q", kind="search", evidence=evidence))
        (link,) = re.findall(
            r'download="worst-6.csv" href="data:text/csv;charset=utf-8,([^"]+)"',
            page([Results(results.run, (*results.findings, search))]),
        )
        rows = list(csv.reader(io.StringIO(unquote(link))))
        assert sum(row[-1] == "found by search" for row in rows) == count


def test_interval_bar_is_drawn_to_scale():
    bar = interval_bar(make_verdict(estimate=0.5, low=0.25, high=0.75, threshold=1.0))
    assert bar["high"] - bar["estimate"] == pytest.approx(bar["estimate"] - bar["low"], abs=0.02)
    assert bar["zero"] < bar["low"] < bar["high"] < bar["threshold"] <= 100
    assert interval_bar(make_verdict(low=None, high=None)) is None


@pytest.mark.usefixtures("loaded")
def test_page_json_junit_and_terminal_have_the_same_numbers(pytester):
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.claim(id="alike", layer=6, group="K", statistic="row_mean", above=0.5)
        def test_alike(claim, activations):
            claim.check(activations)
        """
    )
    files = ("--qkv-report", "r.html", "--qkv-json", "r.json", "--junitxml", "j.xml")
    result = pytester.runpytest("-v", "--qkv-model", "embedded", "--qkv-untrained-seeds", "1", *files)
    assert "Report written to r.html" in result.stdout.str()
    found = load_results(pytester.path / "r.json").findings[0]
    verdict = found.verdict
    number = f"{verdict.estimate:.4f} [{verdict.low:.4f}, {verdict.high:.4f}]"
    shown = "".join(Reader((pytester.path / "r.html").read_text()).text)
    assert number in shown
    assert number in result.stdout.str()
    assert label(found) in shown
    properties = ElementTree.parse(pytester.path / "j.xml").getroot().iter("property")
    told = {entry.get("name"): entry.get("value") for entry in properties}
    assert float(told["qkvcheck.estimate"]) == verdict.estimate
    for control in verdict.controls:
        if control.estimate is not None:
            assert f"{control.estimate:.4f}" in shown
    # The same page from the result file, without the model.
    assert main(["report", str(pytester.path / "r.json"), "--out", str(pytester.path / "again.html")]) == 0
    first, again = ((pytester.path / name).read_text() for name in ("r.html", "again.html"))
    assert re.sub(r"2\d{3}-\d\d-\d\d \d\d:\d\d UTC", "", first) == re.sub(r"2\d{3}-\d\d-\d\d \d\d:\d\d UTC", "", again)


def test_several_models_side_by_side(tmp_path, capsys):
    one = synthetic()
    changed = tuple(replace(f, verdict=replace(f.verdict, verdict=Decision.REFUTED)) for f in one.findings[:3])
    run = replace(one.run, origin=replace(one.run.origin, spec="other"))
    other = Results(run, (*changed, *one.findings[3:9]))
    for name, results in (("a", one), ("b", other)):
        write_results(tmp_path / f"{name}.json", results.run, results.findings)
    out = tmp_path / "both.html"
    assert main(["report", str(tmp_path / "a.json"), str(tmp_path / "b.json"), "--out", str(out)]) == 0
    shown = "".join(Reader(out.read_text()).text)
    assert "2 models" in shown
    assert "15 deciding cells; 6 have the same verdict in all models" in shown
    assert main(["report", "a", "b", "--figures", "f", "--out", str(out)]) == 2
    assert "--figures goes with one result file" in capsys.readouterr().err


def test_figures_stand_alone(tmp_path):
    results = synthetic()
    write_results(tmp_path / "a.json", results.run, results.findings)
    command = ["report", str(tmp_path / "a.json"), "--out", str(tmp_path / "a.html"), "--figures", str(tmp_path / "f")]
    assert main(command) == 0
    for path in sorted((tmp_path / "f").iterdir()):
        root = ElementTree.parse(path).getroot()  # well-formed by itself
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert len(list((tmp_path / "f").iterdir())) == 10


@pytest.mark.long
def test_many_layers_stay_small():
    """48 layers of six groups: pictures of the first layers, all cells in the table, all layers in the profile."""
    results = synthetic(tuple(range(48)))
    text = page([results])
    assert len(text) < 10_000_000
    assert text.count("<figure") == 3 * 9 + 1
    assert f"All {len(results.findings)} cells" in text


def test_notebooks_get_tables():
    evil = make_verdict(statement=EVIL[0], reason=EVIL[3])
    for html in (evil._repr_html_(), Results(synthetic().run, (Finding(evil),))._repr_html_()):
        assert html.startswith("<table>")
        assert "<script" not in html
        assert "<img" not in html
        assert "0.5000 [0.4600, 0.5400]" in html


def test_dataframe_has_a_row_a_cell():
    pandas = pytest.importorskip("pandas")
    frame = synthetic().to_dataframe()
    assert isinstance(frame, pandas.DataFrame)
    assert len(frame) == 15
    assert frame.loc[0, "estimate"] == 0.5
    assert "evidence" not in frame


WITHOUT = """
import sys
sys.modules["{name}"] = None
from importlib.util import find_spec
import importlib.util
plain = importlib.util.find_spec
importlib.util.find_spec = lambda n, *a: None if n == "{name}" else plain(n, *a)
from qkvcheck.cli import main
from qkvcheck.errors import SettingsError
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("name", ["matplotlib", "jinja2"])
def test_missing_library_is_one_line(name, tmp_path):
    results = synthetic()
    write_results(tmp_path / "a.json", results.run, results.findings)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(name=name), "report", str(tmp_path / "a.json")],
        cwd=tmp_path, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.strip() == f"qkvcheck: a report needs {name}: pip install 'qkvcheck[report]'."


@pytest.mark.usefixtures("loaded")
def test_report_that_cannot_be_written_is_found_first(pytester):
    pytester.makepyfile("def test_model(qkv_model):\n    raise AssertionError('ran')")
    result = pytester.runpytest("--qkv-model", "embedded", "--qkv-report", "no/such/r.html")
    assert result.ret == 4
    assert "'no/such/r.html' can't be written: there is no folder 'no/such'" in result.stderr.str()


@pytest.mark.parametrize(("name", "record"), [("report", "embedded"), ("smollm2", "smollm2")])
def test_example_shows_what_is_on_record(name, record):
    text = (ROOT / "docs" / f"example-{name}.html").read_text("utf-8")
    recorded = json.loads((ROOT / "experiments" / "baselines" / f"{record}.json").read_text("utf-8"))["verdicts"]
    numbers = {
        f"{entry['estimate']:.4f} [{entry['low']:.4f}, {entry['high']:.4f}]"
        for entry in recorded.values()
        if entry["low"] is not None
    }
    shown = re.findall(r'<td class="number"[^>]*>(-?\d\.\d{4} \[.*?\])</td>', text)
    assert len(shown) > 20
    # The record keeps six digits, so that the fourth is at times rounded the other way.
    assert sum(number in numbers for number in shown) >= 0.95 * len(shown)
    assert len(text.encode()) < 300_000
    assert text.index("How each claim stands") < text.index(">Cosines between dimensions, layer")


def test_a_comparison_has_no_short_version():
    made = synthetic(contexts=6)
    with pytest.raises(SettingsError, match="a page that compares 2 results has no short version"):
        page([made, made], short=True)
