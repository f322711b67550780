"""Commands: one module a subcommand of ``qkvcheck``; heavy imports wait until a command runs."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qkvcheck.errors import ClaimError, SettingsError, nearest, some_of
from qkvcheck.settings import OPTIONS

if TYPE_CHECKING:
    from qkvcheck.claims import Claim, ClaimsFile
    from qkvcheck.contexts import ContextSet
    from qkvcheck.models import HookedModel


MODEL_OPTIONS = ("model", "corpus", "target", "tokenizer", "bos", "layout")
"""What names a model and its contexts."""
USUAL_CLAIMS = ("experiments/claims.toml", "experiments/beyond.toml")
OWN_CLAIMS = "claims.toml"
"""Where a project of one's own has them, as `qkvcheck init` writes it."""


def add_options(parser: Any, *names: str, **without: str) -> None:
    """Add options as pytest has them: the same values, defaults and help, as ``--NAME``.

    Parameters
    ----------
    parser : ArgumentParser or argument group
        Where they are added.
    *names : str
        Of `qkvcheck.settings.OPTIONS`.
    **without : str
        Further names, each with what holds in this command where the option is not given.
    """
    rows = {row.name: row for row in OPTIONS}
    for name in (*names, *without):
        row = replace(rows[name], without=without.get(name, rows[name].without), several="")
        flag = f"--{name}"
        if row.switch:
            parser.add_argument(flag, action="store_true", help=row.argparse_help)
            continue
        default = f" Default: {row.default!r}." if row.default is not None else ""
        about = f"{row.argparse_help}{default}"
        how: dict[str, Any] = {"action": _Once} if rows[name].several else {}
        parser.add_argument(
            flag, type=partial(row.read, flag), default=row.usual, metavar=name.upper(), help=about, **how
        )


class _Once(argparse.Action):
    """An option that pytest takes several times, and a command once: the last one would win in silence."""

    def __call__(self, _parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        """Keep a value; refuse a second one."""
        given = f"{self.dest}_given"
        if getattr(namespace, given, False):
            raise SettingsError(f"{option_string} is given twice; this command takes one, so run it once for each.")
        setattr(namespace, given, True)
        setattr(namespace, self.dest, values)


def add_load(parser: Any) -> None:
    """Add ``--load``; `qkvcheck.cli` imports what it names before the command runs."""
    add_options(parser, load="what QKV_LOAD names")
    parser.set_defaults(load=os.environ.get("QKV_LOAD") or None)


def load(options: argparse.Namespace, **how: Any) -> tuple[HookedModel, ContextSet]:
    """Return the model that the options name, and the corpus in its tokens.

    Parameters
    ----------
    options : Namespace
        With what `add_options` added for `MODEL_OPTIONS`.
    **how : object
        As `qkvcheck.models.load_model` takes it, such as a device.

    Raises
    ------
    QkvcheckError
        If one of them can't be used.
    """
    from qkvcheck.contexts import encode_corpus, read_corpus
    from qkvcheck.models import load_model

    corpus = read_corpus(options.corpus)  # the cheap mistakes first
    hooked = load_model(options.model, tokenizer=options.tokenizer, bos=options.bos, layout=options.layout, **how)
    return hooked, encode_corpus(corpus, hooked.encoder, target=options.target)


def add_claims(parser: Any) -> None:
    """Add ``--claims``, which `claims_of` reads."""
    parser.add_argument("--claims", metavar="FILE", nargs="+", help="claims files; default: those in ./experiments")


def claims_of(named: list[str] | None) -> ClaimsFile:
    """Return the claims of the files that are named, else of those that are usual and there.

    Raises
    ------
    SettingsError
        If none is named and none is there.
    ClaimError
        If one can't be read.
    """
    from qkvcheck.claims import load_claims

    usual = [name for name in USUAL_CLAIMS if Path(name).is_file()]
    files = named or usual or [OWN_CLAIMS] * Path(OWN_CLAIMS).is_file()
    if not files:
        raise SettingsError("there is no claims file here, nor in ./experiments; name one with --claims.")
    return load_claims(*files)


def claim_of(file: ClaimsFile, name: str) -> Claim:
    """Return a claim by its id.

    Raises
    ------
    ClaimError
        If there is none.
    """
    if name not in file.claims:
        there = some_of(list(file.claims))
        raise ClaimError(f"claim {name!r} is not on file; there: {there}.{nearest(name, file.claims)}")
    return file.claims[name]
