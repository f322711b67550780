"""Options: whatever text command line, environment and ini file give is a value, or one line that names the option."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import strategies as st

from qkvcheck.files import check_output
from qkvcheck.models.spec import parse_spec
from qkvcheck.settings import OPTIONS, from_root, load_extensions, resolve_settings
from tests.fuzz.damage import fuzz, reads_or_refuses

NASTY = (
    "", " ", '"', '""', '" her"', "\x00", "a\x00b", "\x1b[31mred", "\n", "\u2028", "\ud800", "\udcff.txt", "-1", "1e9",
    "１２", "٣", "9" * 23, "9" * 5000, "0" * 5000, "0-9999", "0-99999", "5-", "x" * 100_000, "x" * 300 + ".py",
    "yes", "NO", "all", "claim", "a,,b", ",", "embedded#untrained=" + "9" * 5000, "#", "a#b", "~", "/", ".",
    "../" * 2000, "%s{0}$x", "new", "auto", "float32", "6", "5,6", "[1, 2]", "None", "True", "'x", '"x',
    "stats.py nothing.there", ".x", "a..b",
)  # fmt: skip


def test_values(examples, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "root"
    root.mkdir()

    def check(drawn):
        option, text, place = drawn

        def read(_):
            settings = resolve_settings(
                command_line=lambda one: text if one is option and place == "command line" else None,
                environment={option.variable: text} if place == "environment" else {},
                ini=lambda one: from_root(one, text, root=root) if one is option and place == "ini" else None,
            )
            if option.name == "model":
                parse_spec(settings.model)
            if option.name in ("json", "report", "baseline"):
                check_output(option.flag, getattr(settings, option.attribute))

        reads_or_refuses(read, Path(option.name), name="options", named=option.name.partition("-")[0])

    texts = st.sampled_from(NASTY) | st.text(max_size=12) | st.text(st.characters(categories=["Cc", "Cs", "Nd"]))
    places = st.sampled_from(("command line", "environment", "ini"))
    fuzz(st.tuples(st.sampled_from(OPTIONS), texts, places), check, examples=examples)


def test_names_to_load(examples, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parts = st.sampled_from([text for text in NASTY if text]) | st.text("abc./-_ \x00\ud800", min_size=1, max_size=9)

    def check(name):
        if not name.strip(os.sep + "."):
            return
        reads_or_refuses(lambda _: load_extensions([name]), Path("load"), name="options: load", named="can't load")

    fuzz(parts.map(lambda text: f"no such {text}"), check, examples=examples)
