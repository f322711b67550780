"""The page in a browser: at the width of a screen and of a phone, light and dark, with checks a reader would make.

It runs where Chromium or Chrome is installed, and is skipped with that reason where not. With the environment's
``QKV_AXE`` naming a file ``axe.min.js`` (npm's package axe-core) that is run as well.
"""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from qkvcheck.report.page import page
from tests.conftest import ROOT
from tests.made_up import synthetic
from tests.report.test_page import EVIL
from tests.report.test_poison import POISON, STRUCTURE, poisoned

BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome", "chrome") if (found := shutil.which(name))),
    None,
)
pytestmark = [
    pytest.mark.needs_time,
    pytest.mark.long,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on this machine: the page was not looked at"),
]

CHECKS = """
function luminance(c) {
  const [r, g, b] = c.map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
const numbers = c => (c.match(/[\\d.]+/g) || []).map(Number);
function ground(node) {
  for (let at = node; at; at = at.parentElement) {
    const c = numbers(getComputedStyle(at).backgroundColor);
    if (c.length === 3 || c[3] > 0) return c.slice(0, 3);
  }
  return [255, 255, 255];
}
function contrast(node) {
  const style = getComputedStyle(node), svg = node.ownerSVGElement;
  const [a, b] = [numbers(svg ? style.fill : style.color).slice(0, 3), ground(node)].map(luminance);
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}
async function look() {
  const all = [...document.querySelectorAll('body *')];
  const written = n => [...n.childNodes].some(c => c.nodeType === 3 && c.data.trim());
  const texts = all.filter(n => written(n) && n.getClientRects().length);
  const start = n => n.outerHTML.slice(0, 90);
  const ids = all.map(n => n.id).filter(Boolean);
  const named = n => (n.getAttribute('aria-label') || '').trim() ||
    (n.getAttribute('aria-labelledby') && document.getElementById(n.getAttribute('aria-labelledby')));
  const found = {
    width: innerWidth,
    dark: matchMedia('(prefers-color-scheme: dark)').matches,
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    texts: texts.length,
    faint: texts.filter(n => contrast(n) < 4.5).map(start),
    repeated: ids.filter((id, k) => ids.indexOf(id) !== k),
    unnamed: all.filter(n => n.matches('svg[role=img], [role=region], section') && !named(n)).map(start),
    headless: [...document.querySelectorAll('table')].filter(t => !t.caption || !t.querySelector('th[scope]')).length,
    levels: [...document.querySelectorAll('h1, h2, h3')].map(h => +h.tagName[1]),
    images: [...document.querySelectorAll('svg image')].map(i => i.href.baseVal),
    pressed: window.pressed || 0,
    shown: document.body.innerText.slice(0, 200000),
    first: all.filter(n => n.matches('.forest .estimate') && n.getBoundingClientRect().bottom <= 800).length,
    forest: all.filter(n => n.matches('.forest td, .forest th') && n.scrollWidth > n.clientWidth + 1).map(start),
    axe: [],
  };
  const loads = src => new Promise(done => {
    const image = new Image();
    image.onload = () => done(image.naturalWidth > 0);
    image.onerror = () => done(false);
    image.src = src;
  });
  found.images = await Promise.all(found.images.map(loads));
  if (window.axe) {
    const told = await axe.run({resultTypes: ['violations']});
    found.axe = told.violations.map(v => v.id + ': ' + v.nodes[0].html);
  }
  parent.postMessage(JSON.stringify(found), '*');
}
addEventListener('load', look);
"""
FRAME = """<!DOCTYPE html><title>frame</title><pre id="found"></pre>
<iframe src="{name}" style="width: {width}px; height: 2000px; border: 0"></iframe>
<script>addEventListener('message', e => {{ document.getElementById('found').textContent = e.data; }});</script>"""


def look(folder: Path, text: str, *, width: int, dark: bool) -> tuple[dict, list[str]]:
    """Return what the checks found in a page, and what the browser wrote to its console."""
    axe = Path(os.environ["QKV_AXE"]).read_text("utf-8") if os.environ.get("QKV_AXE") else ""
    scripts = f"<script>{axe}</script><script>{CHECKS}</script></body>"
    (folder / "page.html").write_text(text.replace("</body>", scripts), "utf-8")
    (folder / "frame.html").write_text(FRAME.format(name="page.html", width=width), "utf-8")
    done = subprocess.run(
        [
            BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1400,2100",
            "--allow-file-access-from-files", "--enable-logging=stderr", "--virtual-time-budget=20000",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}", f"--user-data-dir={folder / 'profile'}",
            "--dump-dom", (folder / "frame.html").as_uri(),
        ],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    told = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert told is not None, done.stderr[-2000:]
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(html.unescape(told[1])), console


def printed(folder: Path, text: str) -> int:
    """Return how many pages a page takes in print."""
    (folder / "page.html").write_text(text, "utf-8")
    subprocess.run(
        [
            BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}",
            f"--print-to-pdf={folder / 'page.pdf'}", "--no-pdf-header-footer", (folder / "page.html").as_uri(),
        ],
        capture_output=True, check=True, timeout=120,
    )  # fmt: skip
    return len(re.findall(rb"/Type\s*/Page\b", (folder / "page.pdf").read_bytes()))


@pytest.mark.parametrize("name", ["report", "smollm2"])
def test_short_version_is_three_pages_and_its_picture_is_on_the_first_screen(tmp_path, name):
    text = (ROOT / "docs" / f"example-{name}.html").read_text("utf-8")
    assert 1 <= printed(tmp_path, text) <= 3
    for width, dark in ((1280, False), (390, False), (1280, True)):
        found, console = look(tmp_path, text, width=width, dark=dark)
        assert (console, found["overflow"], found["faint"], found["unnamed"], found["axe"]) == ([], 0, [], [], [])
        assert found["forest"] == []  # no cell holds more than fits
        assert found["first"] >= (10 if width == 1280 else 1)


def test_what_is_open_is_printed_and_no_more(tmp_path):
    text = page([synthetic()])
    closed = printed(tmp_path, text)
    one = printed(tmp_path, text.replace("<details><summary>All 15 cells", "<details open><summary>All 15 cells"))
    every = printed(tmp_path, text.replace('id="unfold"', 'id="unfold" checked'))
    assert 1 <= closed <= 3
    assert closed <= one < every
    assert every > 5


@pytest.mark.parametrize(
    ("width", "dark"), [(1280, False), (390, False), (1280, True)], ids=["screen", "phone", "dark"]
)
def test_page_can_be_read(tmp_path, width, dark):
    texts = [*EVIL, *(f"s{number} gave her" for number in range(20))]
    opened = page([synthetic(texts=texts)]).replace('id="unfold"', 'id="unfold" checked')
    found, console = look(tmp_path, opened, width=width, dark=dark)
    assert (found["width"], found["dark"]) == (width, dark)
    assert console == []
    assert found["overflow"] == 0
    assert found["texts"] > 200
    assert found["first"] >= (10 if width == 1280 else 1)
    assert found["faint"] == []
    assert found["repeated"] == []
    assert found["unnamed"] == []
    assert found["headless"] == 0
    assert found["levels"][0] == 1
    assert all(after - before <= 1 for before, after in zip(found["levels"], found["levels"][1:], strict=False))
    assert len(found["images"]) >= 4
    assert all(found["images"])
    assert found["axe"] == []


def test_markup_in_names_and_contexts_is_not_run(tmp_path):
    from dataclasses import replace

    from qkvcheck.record.results import Results

    evil = "<script>window.pressed = 1</script><img src=x onerror='window.pressed = 1'><b>bold</b>"
    results = synthetic(texts=[evil + " gave her", *EVIL, *(f"s{number} gave her" for number in range(19))])
    run = replace(results.run, origin=replace(results.run.origin, spec=evil))
    findings = tuple(replace(f, verdict=replace(f.verdict, statement=evil)) for f in results.findings)
    found, console = look(tmp_path, page([Results(run, findings)]), width=1280, dark=False)
    assert found["pressed"] == 0
    assert evil in found["shown"]
    assert console == []
    assert found["overflow"] == 0


@pytest.mark.parametrize("names", [None, *({name} for name in sorted(STRUCTURE))], ids=["texts", *sorted(STRUCTURE)])
def test_no_text_of_a_result_file_is_run(tmp_path, names):
    """Every text of the results hostile, the page and a comparison; `window.pressed` is set by what is run."""
    clean = synthetic(contexts=6)
    results = poisoned(
        clean, names, poison=POISON.replace("alert(1)", "window.pressed=1").replace("alert(2)", "pressed=1")
    )
    for shown in ([results], [results, clean]):
        found, console = look(tmp_path, page(shown), width=1280, dark=False)
        assert found["pressed"] == 0
        assert console == []


def test_comparison_can_be_read(tmp_path):
    found, console = look(tmp_path, page([synthetic(), synthetic()]), width=390, dark=True)
    assert (console, found["overflow"], found["faint"], found["unnamed"], found["axe"]) == ([], 0, [], [], [])


def test_the_checks_can_fail(tmp_path):
    """A page with faint text, a wide block, a lost image, a script error and an unnamed picture."""
    broken = page([synthetic()]).replace(
        "<main>",
        '<main><p style="color: #999; background: #fff">faint</p><div style="width: 3000px; height: 1px"></div>'
        '<svg role="img"><image href="nothing.png"/></svg><script>nothing()</script><table><tr><td>1</td></tr></table>',
    )
    found, console = look(tmp_path, broken, width=390, dark=False)
    assert found["overflow"] > 0
    assert "faint" in "".join(found["faint"])
    assert not all(found["images"])
    assert found["unnamed"]
    assert found["headless"] == 1
    assert console
