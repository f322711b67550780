"""Corpora: where contexts come from: the two that ship, a text file, a JSONL file, or a notebook.

Reading (`read_corpus`) is apart from tokenising (`encode_corpus`), so that a file can be checked before
any tokenizer is loaded.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from qkvcheck.contexts.context import ContextSet, Encoder, make_context, resolve_target
from qkvcheck.errors import ContextError

BUILT_IN = ("replication", "balanced")
LECTURE_SHA256 = "8fb93effd98a5e14313597fb1248e0a0b67d453cee1093633822265bb90c1c69"
"""Hash of the lecture's own 54 sentences, which qkvcheck does not ship but recognises."""


@dataclass(frozen=True)
class Line:
    """One sentence of a corpus, before it is tokenised.

    Attributes
    ----------
    text : str
        The sentence.
    number : int
        Its line in the file, from 1.
    occurrence : int or None
        Which occurrence of the target counts, from 1.
    cluster : str or None
        A label: sentences that share it may depend on each other.
    """

    text: str
    number: int
    occurrence: int | None = None
    cluster: str | None = None


@dataclass(frozen=True)
class Corpus:
    """Sentences as they stand in a file, with the hash of their texts."""

    lines: tuple[Line, ...]
    name: str
    sha256: str


def hash_lines(texts: Sequence[str]) -> str:
    """Return the sha256 of the texts joined by newlines with one at the end."""
    return hashlib.sha256(("\n".join(texts) + "\n").encode("utf-8")).hexdigest()


def is_lecture(sha256: str) -> bool:
    """Tell whether a corpus with this hash is the lecture's own 54 sentences."""
    return sha256 == LECTURE_SHA256


def read_corpus(source: str | Path) -> Corpus:
    """Read a corpus: a built-in name, or the path of a text, JSONL or notebook file.

    Parameters
    ----------
    source : str or Path
        ``"replication"``, ``"balanced"``, or a path. A text file has one sentence a line; a ``.jsonl`` file
        one object a line, ``{"text": ...}`` with an optional ``"occurrence"`` and ``"cluster"``; of an ``.ipynb``
        notebook the one list of sentences in its code is taken.

    Raises
    ------
    ContextError
        If the file can't be read, is not UTF-8, is malformed, or holds no sentence.

    Examples
    --------
    >>> len(read_corpus("replication").lines)
    54
    """
    if source in BUILT_IN:
        text = (resources.files("qkvcheck") / "data" / "corpora" / f"{source}.jsonl").read_text("utf-8")
        return _corpus(_jsonl_lines(text, str(source)), str(source))
    path = Path(source)
    text = _read_text(path)
    if path.suffix == ".jsonl":
        lines = _jsonl_lines(text, str(path))
    elif path.suffix == ".ipynb":
        lines = [Line(t, n) for n, t in enumerate(_notebook_sentences(text, path), start=1)]
    else:
        lines = [Line(t.strip(), n) for n, t in enumerate(text.splitlines(), start=1) if t.strip()]
    return _corpus(lines, str(path))


def encode_corpus(corpus: Corpus, encoder: Encoder, *, target: str | int) -> ContextSet:
    """Tokenise a corpus and find the target in each sentence.

    Parameters
    ----------
    corpus : Corpus
        As `read_corpus` returns it.
    encoder : Encoder
        The model's tokenizer.
    target : str or int
        Text or id of the target token.

    Raises
    ------
    ContextError
        If the target is not one token, or a sentence does not hold it as it should.

    Examples
    --------
    >>> from qkvcheck import load_model
    >>> contexts = encode_corpus(read_corpus("replication"), load_model("embedded").encoder, target=" her")
    >>> len(contexts), contexts.target
    (54, ' her')
    """
    text, target_id = resolve_target(target, encoder)
    contexts = tuple(
        replace(
            make_context(
                line.text,
                encoder,
                target=text,
                target_id=target_id,
                occurrence=line.occurrence,
                where=f"{corpus.name}, line {line.number}",
            ),
            cluster=line.cluster,
        )
        for line in corpus.lines
    )
    return ContextSet(contexts, text, target_id, corpus.name, corpus.sha256)


def _corpus(lines: Sequence[Line], name: str) -> Corpus:
    if not lines:
        raise ContextError(f"corpus {name!r} holds no sentence; it needs at least one. Write one sentence a line.")
    return Corpus(tuple(lines), name, hash_lines([line.text for line in lines]))


def _read_text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise ContextError(
            f"corpus {str(path)!r} does not exist; allowed are {', '.join(BUILT_IN)}, or the path of a text, JSONL "
            "or notebook file. Check --qkv-corpus."
        ) from None
    except UnicodeDecodeError as error:
        raise ContextError(
            f"corpus {str(path)!r} is not UTF-8 (byte {error.start}); save the file as UTF-8 and run again."
        ) from None
    except OSError as error:
        raise ContextError(
            f"corpus {str(path)!r} can't be read ({error.strerror}); it must be a readable file. Check --qkv-corpus."
        ) from None


def _jsonl_lines(text: str, name: str) -> list[Line]:
    lines = []
    for number, raw in enumerate(text.splitlines(), start=1):
        if not raw.strip():
            continue
        try:
            record: Any = json.loads(raw)
        except ValueError as error:
            raise ContextError(f"corpus {name!r}, line {number} is not JSON ({error}); correct the line.") from None
        if not isinstance(record, dict) or not isinstance(record.get("text"), str):
            raise ContextError(
                f'corpus {name!r}, line {number} has no text; each line is an object such as {{"text": "..."}}.'
            )
        occurrence = record.get("occurrence")
        if occurrence is not None and (not isinstance(occurrence, int) or isinstance(occurrence, bool)):
            raise ContextError(
                f'corpus {name!r}, line {number}: "occurrence" is {occurrence!r}; it must be a whole number from 1.'
            )
        cluster = record.get("cluster")
        if cluster is not None and not isinstance(cluster, str):
            raise ContextError(f'corpus {name!r}, line {number}: "cluster" is {cluster!r}; it must be a text.')
        lines.append(Line(record["text"], number, occurrence, cluster))
    return lines


def _notebook_sentences(text: str, path: Path) -> list[str]:
    """Return the one list of sentences that stands in a notebook's code cells."""
    try:
        cells = json.loads(text)["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError):
        raise ContextError(
            f"corpus {str(path)!r} is not a notebook of format 4; save the sentences as text, one a line."
        ) from None
    found = [sentences for source in sources for sentences in _string_lists(source)]
    known = [sentences for sentences in found if hash_lines(sentences) == LECTURE_SHA256]
    if known:
        return known[0]
    if len(found) != 1:
        raise ContextError(
            f"corpus {str(path)!r} holds {len(found)} lists of sentences in its code; exactly one is allowed. "
            "Save the sentences as text, one a line."
        )
    return found[0]


def _string_lists(source: str) -> list[list[str]]:
    """Return the lists of at least two strings in a cell; a cell with notebook magic is left out."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return []
    lists = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.List, ast.Tuple)) and len(node.elts) > 1:
            values = [e.value for e in node.elts if isinstance(e, ast.Constant) and isinstance(e.value, str)]
            # A sentence has a space inside; lists of labels or colours have none.
            if len(values) == len(node.elts) and all(" " in value.strip() for value in values):
                lists.append(values)
    return lists
