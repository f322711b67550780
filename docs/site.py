"""The site's hooks: reference pages made from the code, and links to files outside this folder.

`mkdocs build --strict` calls `on_config`, `on_files` and `on_page_markdown`; mkdocs.yml names this file. README.md and
docs/*.md are written for readers of the repository, so their links are turned here: to a page of the site, or to a copy
of the file.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import fields
from importlib import import_module
from inspect import cleandoc
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File
from pymdownx.slugs import slugify

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)(#[^)\s]*)?(?=\))")
HOME = "README.md"
DOORS = ("qkvcheck", "qkvcheck.capture", "qkvcheck.plugin", "qkvcheck.strategies")
"""Modules whose public names have a reference page; those of the first stand in `qkvcheck.__all__`."""


def place_of(source: Path) -> str:
    """Return where a file of the repository lies in the site."""
    inside = source.relative_to(ROOT).as_posix()
    if inside == HOME:
        return "index.md"
    return inside.removeprefix("docs/") if inside.startswith("docs/") else f"source/{inside}"


def links_of(source: Path, text: str) -> Iterator[tuple[re.Match[str], Path]]:
    """Yield each link to a file or folder of the repository, with what it names."""
    for match in LINK.finditer(text):
        named = Path(os.path.normpath(source.parent / match[1]))
        if named.exists() and named.is_relative_to(ROOT):
            yield match, named


def turned(source: Path, text: str) -> str:
    """Return a page with its links as the site has them; a folder has no page, so its link becomes its name."""
    here = PurePosixPath(place_of(source)).parent
    places = {match.span(): named for match, named in links_of(source, text)}

    def turn(match: re.Match[str]) -> str:
        named = places.get(match.span())
        if named is None or named.is_dir():
            return match[0]
        return os.path.relpath(place_of(named), here) + (match[2] or "")

    text = LINK.sub(turn, text)
    for named in (named for named in places.values() if named.is_dir()):
        name = re.escape(os.path.relpath(named, source.parent))
        text = re.sub(rf"\[([^\]]+)\]\({name}/?\)", r"\1", text)
    return text


def outside_files() -> list[Path]:
    """Return every file outside docs/ that a page links to, those that such a page links to in turn, and README.md."""
    found, left = {ROOT / HOME}, [ROOT / HOME, *sorted((ROOT / "docs").glob("*.md"))]
    while left:
        source = left.pop()
        for _, named in links_of(source, source.read_text("utf-8")):
            if named.is_file() and named not in found and ROOT / "docs" not in named.parents:
                found.add(named)
                left += [named] if named.suffix == ".md" else []
    return sorted(found)


# Reference pages ----------------------------------------------------------------------------------


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a table; a bar in a cell is not the end of the cell."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def options_page() -> str:
    """Return the options, read from `qkvcheck.settings`."""
    from qkvcheck.settings import OPTIONS

    rows = [
        (f"`{one.flag}`", f"`{one.variable}`", f"`{one.ini}`", f"`{one.default}`" if one.default else "", one.help)
        for one in OPTIONS
    ]
    about = "Command line before environment before ini file before default: [configuration](../configuration.md)."
    head = ("command line", "environment", "ini", "default", "what it says")
    return f"# Options\n\n{about}\n\n{table(head, rows)}"


def statistics_page() -> str:
    """Return statistics and controls, read from their registries."""
    from qkvcheck.claims import controls_by_name
    from qkvcheck.statistics import statistics_by_name

    statistics = [
        (f"`{name}`", one.words.format(one="similarity", many="similarities"), one.captured_on.value, one.reading)
        for name, one in sorted(statistics_by_name().items())
    ]
    controls = [(f"`{name}`", first_line(one.__doc__)) for name, one in controls_by_name().items()]
    return (
        "# Statistics and controls\n\nHow a number becomes a verdict: [statistics](../statistics.md).\n\n"
        + "## Statistics\n\n"
        + table(("name", "what it is", "captured on", "how it reads"), statistics)
        + "\n## Controls\n\n"
        + table(("name", "what it is"), controls)
    )


def fixtures_page() -> str:
    """Return fixtures and markers, read from the plugin."""
    from qkvcheck.plugin import fixtures
    from qkvcheck.plugin.hooks import MARKER
    from qkvcheck.plugin.markers import KEYWORDS

    given = {name: one for name, one in vars(fixtures).items() if type(one).__name__ == "FixtureFunctionDefinition"}
    rows = [(f"`{name}`", cleandoc(one.__doc__ or "").replace("\n", " ")) for name, one in given.items()]
    return (
        "# Fixtures and markers\n\n## Fixtures\n\n"
        + table(("name", "what it is"), rows)
        + f"\n## The claim marker\n\n`@pytest.mark.{MARKER.partition(':')[0]}`:{MARKER.partition(':')[2]}\n\n"
        + f"It takes {', '.join(f'`{name}`' for name in KEYWORDS)}. More: [the claims file](../claims-file.md).\n"
    )


def schema_page() -> str:
    """Return the objects of a result file, read from the classes that write them."""
    from qkvcheck.claims import ControlResult, Evidence, Verdict
    from qkvcheck.record import FileOrigin, ModelOrigin, RunCorpus, RunSettings

    parts = {
        "model, if a model was loaded": ModelOrigin, "model, if a file was judged": FileOrigin, "corpus": RunCorpus,
        "settings": RunSettings, "a verdict": Verdict, "a control": ControlResult, "evidence": Evidence,
    }  # fmt: skip
    tables = [
        f"## {name}\n\n" + table(("field", "type"), ((f"`{one.name}`", f"`{one.type}`") for one in fields(part)))
        for name, part in parts.items()
    ]
    return "# Result schema\n\nWhat each field says: [the result file](../results.md).\n\n" + "\n".join(tables)


def api_pages() -> dict[str, str]:
    """Return a page a door on what it gives; each name is read where it is made, and shown on one page."""
    shown: set[str] = set()
    pages = {}
    for door in DOORS:
        module = import_module(door)
        given = [one for name in module.__all__ if callable(one := getattr(module, name))]
        names = [name for one in given if (name := f"{one.__module__}.{one.__qualname__}") not in shown]
        shown.update(names)
        also = "" if len(names) == len(given) else "What is not here stands on the page of [qkvcheck](qkvcheck.md).\n\n"
        pages[f"reference/api/{door}.md"] = f"# {door}\n\n{also}" + "\n".join(f"::: {name}\n" for name in names)
    return pages


def notebook_page() -> str:
    """Return the notebook's cells as a page."""
    cells = json.loads((ROOT / "docs" / "notebook.ipynb").read_text("utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells]
    shown = [
        text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```"
        for cell, text in zip(cells, texts, strict=True)
    ]
    return "\n\n".join([*shown, "The notebook as a file: [notebook.ipynb](../notebook.ipynb).\n"])


def first_line(text: str | None) -> str:
    """Return the first paragraph of a docstring as one line."""
    return cleandoc(text or "").split("\n\n")[0].replace("\n", " ")


def made_pages() -> dict[str, str]:
    """Return the pages that are made from the code, by their place."""
    pages = {
        "reference/options.md": options_page(),
        "reference/fixtures.md": fixtures_page(),
        "reference/statistics.md": statistics_page(),
        "reference/schema.md": schema_page(),
        "how-to/notebook.md": notebook_page(),
    }
    return pages | api_pages()


# What mkdocs calls --------------------------------------------------------------------------------


def on_config(config: Any) -> Any:
    """Name headings as GitHub does, so that a link to one works in both places."""
    config.mdx_configs["toc"]["slugify"] = slugify(case="lower")
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add what is made, and what lies outside docs/."""
    for place, text in made_pages().items():
        files.append(File.generated(config, place, content=text))
    for source in outside_files():
        if source.suffix == ".md":
            files.append(File.generated(config, place_of(source), content=turned(source, source.read_text("utf-8"))))
        else:
            files.append(File.generated(config, place_of(source), abs_src_path=str(source)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn the links of a page of docs/."""
    source = ROOT / "docs" / page.file.src_uri
    return turned(source, markdown) if source.is_file() else markdown
