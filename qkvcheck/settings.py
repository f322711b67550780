"""Settings: what a run was asked to do, from command line, environment and ini file, in that order."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from qkvcheck.errors import SettingsError

UPDATE_MODES = ("new", "all")
CLUSTERINGS = ("auto", "first-word", "prefix", "label")
CONTROLS = (
    "different-words", "other-token", "untrained", "non-target", "position-matched", "within-column", "shuffled",
)  # fmt: skip
_YES, _NO = ("yes", "true", "1", "on"), ("no", "false", "0", "off")


@dataclass(frozen=True)
class Option:
    """One setting: ``--qkv-NAME`` on the command line, ``QKV_NAME`` in the environment, ``qkv_name`` as ini value."""

    name: str
    default: str | None
    help: str
    switch: bool = False

    @property
    def flag(self) -> str:
        """Its command-line form."""
        return f"--qkv-{self.name}"

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return f"QKV_{self.name.replace('-', '_').upper()}"

    @property
    def ini(self) -> str:
        """Its ini name."""
        return f"qkv_{self.name.replace('-', '_')}"


OPTIONS = (
    Option(
        "model", "auto", "auto, embedded, a directory, or a hub id such as gpt2; with #untrained or #untrained=SEED."
    ),
    Option("tokenizer", None, "directory of a tokenizer to use instead of the model's own."),
    Option("corpus", "replication", "replication, balanced, or a text, JSONL or notebook file of sentences."),
    Option("target", " her", "target token: its text with the leading space, or its id."),
    Option("layers", None, "zero-based layers, such as 6 or 5,6 or 0-11; without it those of the claims file, else 6."),
    Option("device", "cpu", "torch device, such as cpu or cuda:0."),
    Option("dtype", "float32", "float32, float64, bfloat16 or float16."),
    Option("seed", "0", "first seed of the untrained twins."),
    Option("untrained-seeds", None, "untrained twins; without it 19 up to 10 million parameters, else 1."),
    Option("controls", "all", "all, claim (only those that a claim names), or some: different-words,untrained."),
    Option("clusters", "auto", "contexts that leave the jackknife together: auto, first-word, prefix or label."),
    Option("batch-size", "512", "token positions a forward; it bounds memory."),
    Option("exact-layout", None, "compute every context whole and padded, as a plain forward does; slow.", True),
    Option("baseline", None, "file of recorded verdicts; without it the one recorded for this model, if any."),
    Option("update", None, "record the verdicts: new adds those not on record, all overwrites too."),
    Option("json", None, "write all results to this file."),
    Option("report", None, "write a self-contained HTML page to this file (needs qkvcheck[report])."),
    Option("activations", None, "judge activations captured elsewhere: a safetensors or npz file."),
    Option("strict", None, "an inconclusive claim fails, and auto may not fall back to the embedded model.", True),
)


FILES = ("baseline", "json", "report", "activations")
"""Options that are always a path."""
NAMES_OR_FILES = ("model", "tokenizer", "corpus")
"""Options that are a path if one is there, and else a name."""


@dataclass(frozen=True)
class Settings:
    """What a run was asked to do. Texts as given; `explicit` names the settings that somebody gave."""

    model: str
    tokenizer: str | None
    corpus: str
    target: str | int
    layers: tuple[int, ...] | None
    device: str
    dtype: str
    seed: int
    untrained_seeds: int | None
    controls: str | tuple[str, ...]
    clusters: str
    batch_size: int
    exact_layout: bool
    baseline: str | None
    update: str | None
    json: str | None
    report: str | None
    activations: str | None
    strict: bool
    trust_remote_code: bool
    explicit: frozenset[str]


def resolve_settings(
    *,
    command_line: Callable[[Option], str | None],
    environment: Mapping[str, str],
    ini: Callable[[Option], str | None],
    trust_remote_code: bool = False,
) -> Settings:
    """Resolve every option: command line, then environment, then ini file, then default.

    Parameters
    ----------
    command_line, ini : callable
        Return an option's text, or None if it was not given.
    environment : mapping of str to str
        Such as ``os.environ``.
    trust_remote_code : bool
        Whether code that comes with a model may run.

    Raises
    ------
    SettingsError
        If a value makes no sense.
    """
    values: dict[str, str | None] = {}
    explicit = set()
    for option in OPTIONS:
        given = (command_line(option), environment.get(option.variable) or None, ini(option) or None)
        chosen = next((value for value in given if value is not None), None)
        if chosen is not None:
            explicit.add(option.name)
        values[option.name] = option.default if chosen is None else chosen
    update = values["update"]
    if update is not None and update not in UPDATE_MODES:
        raise SettingsError(f"--qkv-update {update!r} is not known; allowed: {' or '.join(UPDATE_MODES)}.")
    target = values["target"] or ""
    return Settings(
        model=values["model"] or "",
        tokenizer=values["tokenizer"],
        corpus=values["corpus"] or "",
        target=int(target) if target.isascii() and target.isdigit() else target,
        layers=None if values["layers"] is None else parse_layers(values["layers"]),
        device=values["device"] or "",
        dtype=values["dtype"] or "",
        seed=_whole_number("seed", values["seed"] or "", least=0),
        untrained_seeds=None
        if values["untrained-seeds"] is None
        else _whole_number("untrained-seeds", values["untrained-seeds"], least=0),
        controls=_controls(values["controls"] or ""),
        clusters=_one_of("clusters", values["clusters"] or "", CLUSTERINGS),
        batch_size=_whole_number("batch-size", values["batch-size"] or "", least=1),
        exact_layout=_switch("exact_layout", values["exact-layout"]),
        baseline=values["baseline"],
        update=update,
        json=values["json"],
        report=values["report"],
        activations=values["activations"],
        strict=_switch("strict", values["strict"]),
        trust_remote_code=trust_remote_code,
        explicit=frozenset(explicit),
    )


def from_root(option: Option, text: str, *, root: Path) -> str:
    """Return an ini value as it has to be read from the current folder: a path there counts from the root directory.

    Parameters
    ----------
    option : Option
        What the value is for.
    text : str
        The value as given.
    root : Path
        pytest's root directory.
    """
    path = root / text.partition("#")[0]  # such as model#untrained
    if option.name not in FILES and not (option.name in NAMES_OR_FILES and path.exists()):
        return text
    if Path(text).is_absolute() or root == Path.cwd():
        return text
    try:
        return os.path.relpath(root / text)
    except ValueError:  # another drive on Windows
        return str(root / text)


def _controls(text: str) -> str | tuple[str, ...]:
    """Read ``all``, ``claim`` or a list of controls."""
    if text in ("all", "claim"):
        return text
    names = tuple(part.strip() for part in text.split(","))
    for name in names:
        _one_of("controls", name, CONTROLS)
    return names


def _one_of(name: str, text: str, allowed: tuple[str, ...]) -> str:
    if text not in allowed:
        raise SettingsError(f"--qkv-{name} {text!r} is not known; allowed: {', '.join(allowed)}.")
    return text


def _switch(name: str, text: str | None) -> bool:
    value = (text or "no").lower()
    if value not in (*_YES, *_NO):
        raise SettingsError(f"qkv_{name} {text!r} is neither yes nor no; mend it.")
    return value in _YES


def parse_layers(text: str) -> tuple[int, ...]:
    """Read layers such as ``6``, ``5,6`` or ``0-11``; return them in order, each once.

    Raises
    ------
    SettingsError
        If the text is not of that form.
    """
    layers: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,4})(?:\s*-\s*(\d{1,4}))?\s*", part, flags=re.ASCII)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last < first:
            raise SettingsError(
                f"layers {text!r} can't be read; give zero-based numbers such as 6, 5,6 or 0-11. Mend --qkv-layers."
            )
        layers.update(range(first, last + 1))
    return tuple(sorted(layers))


def _whole_number(name: str, text: str, *, least: int) -> int:
    if not (text.isascii() and text.isdigit() and int(text) >= least):
        raise SettingsError(f"--qkv-{name} {text!r} is not a whole number from {least}; mend it.")
    return int(text)
