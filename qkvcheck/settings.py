"""Settings: what a run was asked to do, from command line, environment and ini file, in that order.

An option is one row of `Settings`: its default, its help, how it is read, and whether it is a path. pytest's options
and the commands are made from these rows.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal
from unicodedata import category

from qkvcheck.errors import SettingsError, first_line, shown
from qkvcheck.files import is_there
from qkvcheck.groups import HEADS_FORM, Heads, Layers, heads_of

UPDATE_MODES = ("new", "all")
CLUSTERINGS = ("auto", "first-word", "preceding-token", "position", "explains-most", "prefix", "label")
_YES, _NO = ("yes", "true", "1", "on"), ("no", "false", "0", "off")
LONGEST = 10_000
"""Characters of a value."""
LAST_ID = 2**31 - 1
"""Largest id of a token that is looked for; models have fewer."""
LAST_SEED = 2**63 - 1
_TARGET = r'"[^"]+"|[0-9]+'
_TARGETS = re.compile(rf"\s*(?:{_TARGET})(?:[\s,]+(?:{_TARGET}))+\s*", flags=re.ASCII)
"""A text that names several targets; one that has double quotes of its own at its ends begins with two."""
MOST_SEEDS = 10_000
MOST_POSITIONS = 2**31 - 1
MOST_CONTEXTS = 2**31 - 1

PathKind = Literal["never", "always", "if there", "each file"]


@dataclass(frozen=True)
class Option:
    """One setting: ``--qkv-NAME`` on the command line, ``QKV_NAME`` in the environment, ``qkv_name`` as ini value.

    Parameters
    ----------
    name : str
        As on the command line, without ``--qkv-``.
    default : str or None
        Taken where nobody says anything; None where that means something of its own.
    about : str
        What the option says.
    without : str or None
        What holds where it is not given and there is no default.
    parse : callable
        Takes the flag, for messages, and a text; returns the value or raises `SettingsError`.
    path : str
        Whether the value is a path: never, always, if one is there, or each of its names that ends in ``.py``.
    switch : bool
        Whether it stands without a value on the command line.
    several : str
        What several values do, for an option that pytest takes more than once; empty for any other.
    """

    name: str
    default: str | None
    about: str
    without: str | None
    parse: Callable[[str, str], Any]
    path: PathKind
    switch: bool
    several: str = ""

    @property
    def flag(self) -> str:
        """Its command-line form."""
        return f"--qkv-{self.name}"

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return f"QKV_{self.attribute.upper()}"

    @property
    def ini(self) -> str:
        """Its ini name."""
        return f"qkv_{self.attribute}"

    @property
    def attribute(self) -> str:
        """Its name in `Settings`."""
        return self.name.replace("-", "_")

    @property
    def help(self) -> str:
        """What it says, with what holds without it."""
        parts = [self.about, self.several, f"without it {self.without}" if self.without else ""]
        return f"{'; '.join(filter(None, parts))}."

    @property
    def argparse_help(self) -> str:
        """The same for argparse, to which a percent sign is the start of a name."""
        return self.help.replace("%", "%%")

    @property
    def usual(self) -> Any:
        """Its value where nobody says anything."""
        return (False if self.switch else None) if self.default is None else self.parse(self.flag, self.default)

    def read(self, flag: str, text: str) -> Any:
        """Return the value that a text says.

        Raises
        ------
        SettingsError
            If it makes no sense, or holds what no value holds; `flag` is for the message.
        """
        several = self.parse in (_layers, _heads, _controls, _names)
        check_text(flag, text, allowed="\t\r\n" if several else "", control=self.parse is _target)
        return self.parse(flag, text)

    def read_each(self, flag: str, given: str | Sequence[str]) -> tuple[Any, ...]:
        """Return the values that were given, each once; one text may hold several (`each_target`).

        Raises
        ------
        SettingsError
            As `read`.
        """
        texts = [given] if isinstance(given, str) else given
        return tuple(dict.fromkeys(self.read(flag, one) for text in texts for one in each_target(text)))


def check_text(name: str, text: str, *, allowed: str = "", control: bool = False) -> None:
    """Raise `SettingsError` where a value is no UTF-8, has control characters, or is absurdly long.

    Parameters
    ----------
    name : str
        Of the option, for the message.
    text : str
        What was given.
    allowed : str
        Control characters that it may have.
    control : bool
        Whether it may have any, but for NUL: a token can be one.
    """
    if len(text) > LONGEST:
        raise SettingsError(f"{name} {shown(text)} has {len(text):,} characters; give at most {LONGEST:,}.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise SettingsError(f"{name} {shown(text)} is not UTF-8; give it, or name the file, in UTF-8.") from None
    odd = next((c for c in text if c == "\0" or (category(c) == "Cc" and c not in allowed and not control)), None)
    if odd is not None:
        raise SettingsError(f"{name} {shown(text)} holds the control character {odd!r}; take it out.")


def parse_layers(text: str, *, flag: str = "--qkv-layers") -> Layers:
    """Read layers such as ``6``, ``5,6``, ``0-11`` or ``25%,50%``; each is kept once, in order.

    Parameters
    ----------
    text : str
        The layers: zero-based numbers, or shares of a model's depth.
    flag : str
        What the message of a mistake tells to check.

    Raises
    ------
    SettingsError
        If the text is not of that form.

    Examples
    --------
    >>> parse_layers("5,6"), parse_layers("50%").at(30)
    (Layers(numbers=(5, 6), shares=()), (15,))
    """
    numbers: set[int] = set()
    shares: set[float] = set()
    for part in text.split(","):
        share = re.fullmatch(r"\s*(\d{1,3}(?:\.\d{1,6})?)\s*%\s*", part, flags=re.ASCII)
        match = re.fullmatch(r"\s*(\d{1,4})(?:\s*-\s*(\d{1,4}))?\s*", part, flags=re.ASCII)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if share and float(share[1]) <= 100:
            shares.add(float(share[1]) / 100)
        elif last < first:
            raise SettingsError(
                f"layers {shown(text)} can't be read; give zero-based numbers such as 6, 5,6 or 0-11, or shares of the "
                f"depth such as 25%,50%. Check {flag}."
            )
        numbers.update(range(first, last + 1))
    return Layers(tuple(sorted(numbers)), tuple(sorted(shares)))


def _layers(flag: str, text: str) -> Layers:
    return parse_layers(text, flag=flag)


def _heads(flag: str, text: str) -> Heads:
    heads = heads_of(text)
    if heads is None:
        raise SettingsError(f"heads {shown(text)} can't be read; give {HEADS_FORM}. Check {flag}.")
    return heads


def _text(_: str, text: str) -> str:
    return text


def each_target(text: str) -> list[str]:
    """Return the targets that a text names: several are ids or stand in double quotes, between spaces or commas.

    Examples
    --------
    >>> each_target('" her", " him" 607'), each_target(" her")
    (['" her"', '" him"', '607'], [' her'])
    """
    return re.findall(_TARGET, text) if _TARGETS.fullmatch(text) else [text]


def _target(flag: str, text: str) -> str | int:
    """Read a token's id, or its text; one in double quotes is taken without them, for ini files strip spaces."""
    if _TARGETS.fullmatch(text):
        raise SettingsError(f"{flag} {shown(text)} names several tokens; one is taken here.")
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    elif text.isascii() and text.isdigit():
        return _whole_number(flag, text, most=LAST_ID, also=", or a text in double quotes")
    if not text:
        raise SettingsError(f'{flag} names no token; give its text, such as " her", or its id.')
    return text


def _names(_: str, text: str) -> tuple[str, ...]:
    """Read names separated by spaces or commas; one that holds either stands in double quotes."""
    return tuple(quoted or plain for quoted, plain in re.findall(r'"([^"]+)"|([^\s,"]+)', text))


def _one_of(flag: str, text: str, *, allowed: tuple[str, ...]) -> str:
    if text not in allowed:
        listed = (" or " if len(allowed) == 2 else ", ").join(allowed)
        raise SettingsError(f"{flag} {shown(text)} is not known; allowed: {listed}.")
    return text


def _controls(_flag: str, text: str) -> str | tuple[str, ...]:
    """Read ``all``, ``claim`` or a list of controls."""
    if text in ("all", "claim"):
        return text
    return tuple(part.strip() for part in text.split(","))  # a project may register its own: checked later


def _whole_number(flag: str, text: str, *, most: int, least: int = 0, also: str = "") -> int:
    digits = text.lstrip("0") or "0"  # Python refuses to read thousands of them
    whole = text.isascii() and text.isdigit() and len(digits) <= len(str(most))
    if not (whole and least <= int(digits) <= most):
        raise SettingsError(f"{flag} {shown(text)} is not a whole number from {least} to {most}{also}; check it.")
    return int(digits)


def _from_zero(flag: str, text: str) -> float:
    if re.fullmatch(r"\s*(\d{1,9}\.?\d{0,20}|\.\d{1,20})(e[+-]?\d{1,2})?\s*", text, flags=re.ASCII) is None:
        raise SettingsError(f"{flag} {shown(text)} is no number from 0, such as 0.05; check it.")
    return float(text)


def _switch(flag: str, text: str) -> bool:
    if (value := text.lower()) not in (*_YES, *_NO):
        ini = flag.removeprefix("--").replace("-", "_")  # on the command line it has no value that could be wrong
        raise SettingsError(f"{ini} {shown(text)} is neither yes nor no; check it.")
    return value in _YES


def _row(
    default: str | None,
    about: str,
    *,
    without: str | None = None,
    parse: Callable[[str, str], Any] = _text,
    path: PathKind = "never",
    several: str = "",
) -> Any:
    """Make a field of `Settings` that carries its option; the option's name is the field's."""
    row = Option("", default, about, without, parse, path, switch=parse is _switch, several=several)
    return field(default=row.usual, metadata={"row": row})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a run was asked to do. One row is one option.

    `explicit` names the settings that somebody gave, `commanded` those on the command line.
    """

    model: str = _row(
        "auto",
        "auto, smollm2 (see qkvcheck fetch), embedded, stand-in (the first of these two that is here), a directory, a "
        ".gguf file, or a hub id such as gpt2; with "
        "#untrained or #untrained=SEED; or a family, shrunk, as in llama#tiny",
        path="if there",
    )
    tokenizer: str | None = _row(None, "directory of a tokenizer to use instead of the model's own", path="if there")
    corpus: str = _row(
        "replication",
        "replication, balanced, grammatical, or a text, JSONL or notebook file of sentences",
        path="if there",
    )
    limit: int | None = _row(
        None,
        "take the first so many contexts of the corpus, 2 at least",
        without="all of them",
        parse=partial(_whole_number, least=2, most=MOST_CONTEXTS),
    )
    target: str | int = _row(
        " her",
        "target: its text with the leading space (of several tokens the last one is measured), or a token's id; double "
        "quotes around it are taken off",
        parse=_target,
        several="with several every claim is judged once for each, on the sentences that hold it",
    )
    layers: Layers | None = _row(  # noqa: RUF009 (a tuple; it is None here)
        None,
        "zero-based layers, such as 6 or 5,6 or 0-11, or shares of the depth, such as 25%,50%",
        without="those of the claims file, else 6",
        parse=_layers,
    )
    heads: tuple[int, ...] | Literal["all"] | None = _row(
        None,
        "zero-based attention heads at which claims are judged one by one, such as 3, 0-3 or all",
        without="those that a claim names, if it names any",
        parse=_heads,
    )
    bos: str = _row(
        "auto",
        "a beginning token before every context: auto (as the model's own files have it), yes or no",
        parse=partial(_one_of, allowed=("auto", "yes", "no")),
    )
    layout: str | None = _row(
        None,
        "where queries, keys and values are, for a model of an unknown family, as in layers=model.layers "
        "attention=self_attn names=q_proj,k_proj,v_proj",
        without="that of its family, else found by structure",
    )
    device: str = _row("cpu", "torch device, such as cpu or cuda:0")
    dtype: str = _row("float32", "float32, float64, bfloat16 or float16")
    seed: int = _row("0", "first seed of the untrained twins", parse=partial(_whole_number, most=LAST_SEED))
    untrained_seeds: int | None = _row(
        None,
        "untrained twins",
        without="19 up to 200 million parameters, else 1",
        parse=partial(_whole_number, most=MOST_SEEDS),
    )
    controls: str | tuple[str, ...] = _row(
        "all", "all, claim (only those that a claim names), or some: different-words,untrained", parse=_controls
    )
    clusters: str = _row(
        "auto",
        "contexts that leave the jackknife together: auto, first-word, preceding-token, position, explains-most "
        "(one of these three), prefix or label",
        parse=partial(_one_of, allowed=CLUSTERINGS),
    )
    batch_size: int = _row(
        "512", "token positions a forward; it bounds memory", parse=partial(_whole_number, least=1, most=MOST_POSITIONS)
    )
    exact_layout: bool = _row(
        None, "compute every context whole and padded, as a plain forward does; slow", parse=_switch
    )
    baseline: str | None = _row(
        None, "file of recorded verdicts", without="the one recorded for this model, if any", path="always"
    )
    update: str | None = _row(
        None,
        "record the verdicts: new adds those not on record, all overwrites too",
        parse=partial(_one_of, allowed=UPDATE_MODES),
    )
    require_baseline: bool = _row(
        None,
        "a run to which no verdicts on record apply, or that judges no claim, fails: no gate is off in silence",
        parse=_switch,
    )
    compare: str | None = _row(
        None,
        "a record or results of other weights, on the same contexts and settings: a verdict that differs fails, and a "
        "run that judges no claim",
        path="always",
    )
    compare_margin: float | None = _row(
        None,
        "how far an estimate may stand from the compared one, for every statistic",
        without="what compare.margins of the claims file says, else as far as it likes",
        parse=_from_zero,
    )
    json: str | None = _row(None, "write all results to this file", path="always")
    report: str | None = _row(
        None, "write a self-contained HTML page to this file (needs qkvcheck[report])", path="always"
    )
    report_short: str | None = _row(
        None,
        "write the short version of the page to this file, for a supplement: at most three printed pages with the "
        "verdicts as a picture and a table, the histograms, and what was run; of several models a file each",
        path="always",
    )
    activations: str | None = _row(
        None, "judge activations captured elsewhere: a safetensors or npz file", path="always"
    )
    strict: bool = _row(
        None,
        "an inconclusive claim fails, and auto may not fall back to a stand-in",
        parse=_switch,
    )
    load: tuple[str, ...] | None = _row(
        None,
        "files or modules of the project to import first, such as those that register a statistic, control or figure "
        "of its own",
        parse=_names,
        path="each file",
    )
    trust_remote_code: bool = False
    explicit: frozenset[str] = frozenset()
    commanded: frozenset[str] = frozenset()
    further_targets: tuple[str | int, ...] = ()

    @property
    def targets(self) -> tuple[str | int, ...]:
        """Every target that was asked for."""
        return (self.target, *self.further_targets)

    @property
    def gate(self) -> str | None:
        """The option by which a run is a gate, so that one that judges nothing fails.

        A record that the ini file names is no such option: other tests of the same project are run under it too.
        """
        if self.compare is not None:
            return "--qkv-compare"
        if self.require_baseline:
            return "--qkv-require-baseline"
        return "--qkv-baseline" if "baseline" in self.commanded and self.update is None else None


OPTIONS: tuple[Option, ...] = tuple(
    replace(row.metadata["row"], name=row.name.replace("_", "-")) for row in fields(Settings) if "row" in row.metadata
)
"""Every option that has a command-line, an environment and an ini form, in the order of the help."""


def resolve_settings(
    *,
    command_line: Callable[[Option], str | Sequence[str] | None],
    environment: Mapping[str, str],
    ini: Callable[[Option], str | None],
    trust_remote_code: bool = False,
) -> Settings:
    """Resolve every option: command line, then environment, then ini file, then default.

    Parameters
    ----------
    command_line, ini : callable
        Return an option's text, or None if it was not given; of one with `Option.several` all texts.
    environment : mapping of str to str
        Such as ``os.environ``.
    trust_remote_code : bool
        Whether code that comes with a model may run.

    Raises
    ------
    SettingsError
        If a value makes no sense.
    """
    given = {}
    further: list[str | int] = []
    for option in OPTIONS:
        texts = (command_line(option), environment.get(option.variable) or None, ini(option) or None)
        text = next((text for text in texts if text is not None), None)
        if text is not None and option.several:
            first, *further = option.read_each(option.flag, text)
            given[option.name] = (option.attribute, first)
        elif text is not None:
            given[option.name] = (option.attribute, option.read(option.flag, str(text)))
    return Settings(
        **dict(given.values()),
        trust_remote_code=trust_remote_code,
        explicit=frozenset(given),
        commanded=frozenset(option.name for option in OPTIONS if command_line(option) is not None),
        further_targets=tuple(further),
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
    if root == Path.cwd() or option.path == "never":
        return text
    if option.path == "each file":
        parts = _names("", text)
        return " ".join(f'"{_relative(part, root)}"' if part.endswith(".py") else part for part in parts)
    there = is_there(root / text.partition("#")[0])  # such as model#untrained
    return _relative(text, root) if there or option.path == "always" else text


def _relative(text: str, root: Path) -> str:
    if Path(text).is_absolute():
        return text
    try:
        return os.path.relpath(root / text)
    except ValueError:  # another drive on Windows
        return str(root / text)


def load_extensions(names: Sequence[str]) -> None:
    """Import a project's own files and modules, each once, so that what they register is there.

    Parameters
    ----------
    names : sequence of str
        Paths that end in ``.py``, from the current folder, and dotted names of modules.

    Raises
    ------
    SettingsError
        If one is not there, or breaks while it is imported.
    """
    for name in names:
        if name.endswith(".py") and not (is_there(name) and Path(name).is_file()):
            raise SettingsError(f"can't load {shown(name)}: there is no such file; name Python files or modules.")
        try:
            if name.endswith(".py"):
                _load_file(Path(name).resolve())
            else:
                importlib.import_module(name)
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = "" if last.filename.startswith("<") else f" ({last.filename}, line {last.lineno})"
            raise SettingsError(
                f"can't load {name!r}: {type(error).__name__}: {first_line(error)}{where}; correct it, or leave it out."
            ) from error


def _load_file(path: Path) -> None:
    # The name is of the whole path, so that two files called the same are two modules.
    name = f"qkvcheck_loaded_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError("it can't be read as Python")
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
