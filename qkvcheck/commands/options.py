"""Commands: one module a subcommand of ``qkvcheck``; heavy imports wait until a command runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qkvcheck.errors import SettingsError

if TYPE_CHECKING:
    from qkvcheck.contexts import ContextSet
    from qkvcheck.models import HookedModel


def add_model_options(parser: Any) -> None:
    """Add what names a model and its contexts, as pytest's options do."""
    parser.add_argument("--model", default="auto", help="as --qkv-model; default: auto")
    parser.add_argument("--corpus", default="replication", help="as --qkv-corpus; default: replication")
    parser.add_argument("--target", default=" her", help="as --qkv-target; default: ' her'")
    parser.add_argument("--tokenizer", help="as --qkv-tokenizer")


def load(options: argparse.Namespace, **how: Any) -> tuple[HookedModel, ContextSet]:
    """Return the model that the options name, and the corpus in its tokens.

    Parameters
    ----------
    options : Namespace
        With what `add_model_options` added.
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
    hooked = load_model(options.model, tokenizer=options.tokenizer, **how)
    target = int(options.target) if options.target.isdigit() else options.target
    return hooked, encode_corpus(corpus, hooked.encoder, target=target)


def check_writable(flag: str, path: str | None) -> None:
    """Find a file that can't be written before long work, not after it."""
    if path and (not Path(path).parent.is_dir() or Path(path).is_dir()):
        raise SettingsError(f"{flag} {path!r} can't be written; name a file in a folder that exists.")
