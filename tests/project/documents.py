"""The fenced blocks of README and docs, and what becomes of each line of a shell block."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TUTORIAL = ROOT / "docs" / "tutorial.md"


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: Path
    kind: str
    text: str

    @property
    def lines(self) -> list[str]:
        """Its commands: a line that ends in a backslash goes on, and what follows a sign # and a space is a comment."""
        whole = self.text.replace("\\\n", " ")
        return [line for text in whole.splitlines() if (line := re.sub(r"\s# .*|\s#$", "", text).strip())]


def blocks(*kinds: str, pages: list[Path] = PAGES) -> Iterator[Block]:
    """Yield the fenced blocks of these kinds."""
    for page in pages:
        for kind, text in FENCE.findall(page.read_text("utf-8")):
            if kind in kinds:
                yield Block(page, kind, text)


def words_of(line: str) -> list[str]:
    """Return a command's words, without variables that are set for it."""
    words = shlex.split(line)
    return words[next(i for i, word in enumerate(words) if not re.match(r"[A-Z_]+=", word)) :]


RUN = (
    "qkvcheck plan --model gpt2",
    "qkvcheck report results.json --out report.html",
    "qkvcheck report gpt2.json gpt2-xl.json --out models.html",
    "qkvcheck report results.json --figures pictures",
    "qkvcheck sweep --model embedded --corpus qkvcheck/data/corpora/replication.jsonl --layers 6 --out result/",
    "pytest --qkv-model embedded --qkv-heads 0-3",
)
"""Commands that tests/project/test_documents.py runs; the tutorial's it runs one after the other."""

NOT_RUN = {
    r"^python3 -m venv .*tox run -e": "makes an environment and installs torch: .ci/run is these commands",
    r"pip install|pip download|^hf download|fetch smollm2": "needs a network",
    r"^cd path/|^python -m pytest --qkv-json": "a project of the reader's: tests/project/test_action.py runs its like",
    r"path/to|DIRECTORY|=model\.gguf|=\./gpt2": "a model of the reader's",
    r"^qkvcheck sweep \.\.\.": "goes on with another command: tests/sweep runs it",
    r"--model[ =](gpt2|smollm2)$|--model gpt2 --out": "needs a hub, or what was fetched from it",
    r"make_model\.py --steps|^pytest --qkv-model=model-\d|^qkvcheck compare baselines/": "test_checkpoints.py",
    r"^qkvcheck report results\.json --short": "tests/report/test_forest.py writes it",
    r"register-python-argcomplete": "for a shell's start-up file: tests/commands/test_completion.py asks like one",
    r"compare before\.safetensors": "needs the two records before it: tests/record runs it",
    r"^pytest experiments/": "minutes: tox run -e experiments, and CI's jobs",
    r"^python training/train\.py": "hours of training",
    r"^qkvcheck doctor --noise": "minutes, and it writes into the repository: tests/record measures a noise floor",
    r"^qkvcheck bench": "minutes: tox run -e ratios",
    r"^qkvcheck search .*--budget 2000": "minutes: tests/search runs small ones",
}
"""What of a shell block is not run, and why."""
