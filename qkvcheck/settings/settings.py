"""Settings: the table of all options, and what a run was asked to do, from command line, environment and ini file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, Literal

from qkvcheck.groups import Layers
from qkvcheck.settings.option import Option, PathKind
from qkvcheck.settings.values import (
    CLUSTERINGS,
    LAST_SEED,
    MOST_CONTEXTS,
    MOST_POSITIONS,
    MOST_SEEDS,
    UPDATE_MODES,
    parse_controls,
    parse_from_zero,
    parse_heads,
    parse_layers_of,
    parse_names,
    parse_one_of,
    parse_switch,
    parse_target,
    parse_text,
    parse_whole_number,
)


def _row(
    default: str | None,
    about: str,
    *,
    without: str | None = None,
    parse: Callable[[str, str], Any] = parse_text,
    path: PathKind = "never",
    several: str = "",
) -> Any:
    """Make a field of `Settings` that carries its option; the option's name is the field's."""
    row = Option("", default, about, without, parse, path, switch=parse is parse_switch, several=several)
    return field(default=row.usual, metadata={"row": row})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a run was asked to do. One row is one option.

    `explicit` names the settings that somebody gave, `commanded` those on the command line, `of_ini` those that an ini
    file gives.
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
        parse=partial(parse_whole_number, least=2, most=MOST_CONTEXTS),
    )
    target: str | int = _row(
        " her",
        "target: its text with the leading space (of several tokens the last one is measured), or a token's id; double "
        "quotes around it are taken off",
        parse=parse_target,
        several="with several every claim is judged once for each, on the sentences that hold it",
    )
    layers: Layers | None = _row(  # noqa: RUF009 (a tuple; it is None here)
        None,
        "zero-based layers, such as 6 or 5,6 or 0-11, or shares of the depth, such as 25%,50%",
        without="those of the claims file, else 6",
        parse=parse_layers_of,
    )
    heads: tuple[int, ...] | Literal["all"] | None = _row(
        None,
        "zero-based attention heads at which claims are judged one by one, such as 3, 0-3 or all",
        without="those that a claim names, if it names any",
        parse=parse_heads,
    )
    bos: str = _row(
        "auto",
        "a beginning token before every context: auto (as the model's own files have it), yes or no",
        parse=partial(parse_one_of, allowed=("auto", "yes", "no")),
    )
    layout: str | None = _row(
        None,
        "where queries, keys and values are, for a model of an unknown family, as in layers=model.layers "
        "attention=self_attn names=q_proj,k_proj,v_proj",
        without="that of its family, else found by structure",
    )
    device: str = _row("cpu", "torch device, such as cpu or cuda:0")
    dtype: str = _row("float32", "float32, float64, bfloat16 or float16")
    seed: int = _row("0", "first seed of the untrained twins", parse=partial(parse_whole_number, most=LAST_SEED))
    untrained_seeds: int | None = _row(
        None,
        "untrained twins",
        without="19 up to 200 million parameters, else 1",
        parse=partial(parse_whole_number, most=MOST_SEEDS),
    )
    controls: str | tuple[str, ...] = _row(
        "all", "all, claim (only those that a claim names), or some: different-words,untrained", parse=parse_controls
    )
    clusters: str = _row(
        "auto",
        "contexts that leave the jackknife together: auto, first-word, preceding-token, position, explains-most "
        "(one of these three), prefix or label",
        parse=partial(parse_one_of, allowed=CLUSTERINGS),
    )
    batch_size: int = _row(
        "512",
        "token positions a forward; it bounds memory",
        parse=partial(parse_whole_number, least=1, most=MOST_POSITIONS),
    )
    exact_layout: bool = _row(
        None, "compute every context whole and padded, as a plain forward does; slow", parse=parse_switch
    )
    baseline: str | None = _row(
        None, "file of recorded verdicts", without="the one recorded for this model, if any", path="always"
    )
    update: str | None = _row(
        None,
        "record the verdicts: new adds those not on record, all overwrites too",
        parse=partial(parse_one_of, allowed=UPDATE_MODES),
    )
    require_baseline: bool = _row(
        None,
        "a run fails to which no verdicts on record apply, that judges no claim, or whose claims are not those on "
        "record: no gate is off in silence",
        parse=parse_switch,
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
        parse=parse_from_zero,
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
        parse=parse_switch,
    )
    load: tuple[str, ...] | None = _row(
        None,
        "files or modules of the project to import first, such as those that register a statistic, control or figure "
        "of its own",
        parse=parse_names,
        path="each file",
    )
    trust_remote_code: bool = False
    explicit: frozenset[str] = frozenset()
    commanded: frozenset[str] = frozenset()
    of_ini: frozenset[str] = frozenset()
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
    commanded, of_ini = [], []
    further: list[str | int] = []
    for option in OPTIONS:
        texts = (command_line(option), environment.get(option.variable) or None, ini(option) or None)
        text = next((text for text in texts if text is not None), None)
        if texts[0] is not None:
            commanded.append(option.name)
        elif texts[1] is None and text is not None:
            of_ini.append(option.name)
        if text is not None and option.several:
            first, *further = option.read_each(option.flag, text)
            given[option.name] = (option.attribute, first)
        elif text is not None:
            given[option.name] = (option.attribute, option.read(option.flag, str(text)))
    return Settings(
        **dict(given.values()),
        trust_remote_code=trust_remote_code,
        explicit=frozenset(given),
        commanded=frozenset(commanded),
        of_ini=frozenset(of_ini),
        further_targets=tuple(further),
    )
