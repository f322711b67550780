"""Encoders: how a model's tokenizer looks to the rest of qkvcheck.

`PretrainedEncoder` wraps a Hugging Face tokenizer. `RecordedEncoder` knows GPT-2's ids of the words in
our corpora and nothing else; with it, untrained GPT-2 runs on a machine that has no tokenizer.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from qkvcheck.errors import ModelError, first_line, shown
from qkvcheck.models.directory import check_directory
from qkvcheck.models.tokens.files import check_numbers, check_tokenizer_files

# GPT-2 splits a text into these pieces before any merging, so that the ids of a text are the ids of its
# pieces one after the other (Radford et al. 2019, encoder.py; here for ASCII texts).
_PIECES = re.compile(r"'(?:s|t|re|ve|m|ll|d)| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+")


class PretrainedEncoder:
    """A Hugging Face tokenizer.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase
        Any tokenizer; it is not changed.
    name : str
        How to name it in messages.
    """

    def __init__(self, tokenizer: Any, *, name: str) -> None:
        self._tokenizer = tokenizer
        self._name = name

    @property
    def name(self) -> str:
        """Whose tokens these are, for messages."""
        return self._name

    @property
    def pad_id(self) -> int:
        """Token that fills a padded row: the padding token, else end of text, else 0."""
        for token in (self._tokenizer.pad_token_id, self._tokenizer.eos_token_id):
            if token is not None:
                return int(token)
        return 0

    @property
    def numbers(self) -> Collection[int]:
        """The number of every token."""
        return list(self._tokenizer.get_vocab().values())

    @property
    def plain_tokens(self) -> Sequence[int]:
        """Every token but the special ones, in the order of the ids."""
        special = set(self._tokenizer.all_special_ids)
        return [token for token in sorted(self._tokenizer.get_vocab().values()) if token not in special]

    def encode(self, text: str) -> list[int]:
        """Return the token ids of `text`, with no special tokens added.

        Raises
        ------
        ModelError
            If the tokenizer can't split it.
        """
        return self._split(text, special=False)

    def encode_with_special(self, text: str) -> list[int]:
        """Return the token ids of `text`, with what the tokenizer puts around it.

        Raises
        ------
        ModelError
            If the tokenizer can't split it.
        """
        return self._split(text, special=True)

    def _split(self, text: str, *, special: bool) -> list[int]:
        with refusing(f"the tokenizer of {shown(self._name)} can't split {shown(text)}"):
            return list(self._tokenizer(text, add_special_tokens=special)["input_ids"])

    @property
    def bos_id(self) -> int | None:
        """Token that begins a sequence, if the tokenizer names one."""
        token = self._tokenizer.bos_token_id
        return None if token is None else int(token)

    def decode(self, token_ids: Sequence[int]) -> str:
        """Return the text of `token_ids`."""
        with refusing(f"the tokenizer of {shown(self._name)} can't decode {shown(list(token_ids))}"):
            return str(self._tokenizer.decode(list(token_ids), clean_up_tokenization_spaces=False))

    def pad(self, texts: Sequence[str]) -> np.ndarray:
        """Return the tokenizer's own right-padded batch, shape (text, token) int64."""
        tokenizer = self._tokenizer
        encoded = [{"input_ids": self.encode(text)} for text in texts]
        before = tokenizer.pad_token
        try:
            if before is None:
                tokenizer.pad_token = tokenizer.eos_token
            padded = tokenizer.pad(encoded, padding=True, padding_side="right", return_tensors="np")
        finally:
            tokenizer.pad_token = before
        return np.asarray(padded["input_ids"], dtype=np.int64)

    def fingerprint(self) -> str:
        """Return the sha256 of vocabulary and merges."""
        backend = getattr(self._tokenizer, "backend_tokenizer", None)
        model = json.loads(backend.to_str())["model"] if backend is not None else {}
        merges = [m if isinstance(m, str) else " ".join(m) for m in model.get("merges", [])]
        parts = [sorted(self._tokenizer.get_vocab().items()), merges]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


class RecordedEncoder:
    """GPT-2's token ids of the words in our corpora and controls, recorded as data.

    Texts made of other words are refused, since nothing here could split them.
    """

    def __init__(self) -> None:
        text = (resources.files("qkvcheck") / "data" / "gpt2_words.json").read_text("utf-8")
        self._ids: dict[str, int] = json.loads(text)
        self._words = {token: word for word, token in self._ids.items()}

    @property
    def name(self) -> str:
        """Whose tokens these are, for messages."""
        return "the recorded GPT-2 words"

    @property
    def pad_id(self) -> int:
        """GPT-2's end-of-text token, with which the paper pads."""
        return self._ids["<|endoftext|>"]

    @property
    def numbers(self) -> Collection[int]:
        """The number of every recorded token."""
        return list(self._words)

    @property
    def plain_tokens(self) -> Sequence[int]:
        """The recorded tokens but end-of-text, in the order of the ids."""
        return [token for token in sorted(self._words) if token != self.pad_id]

    def encode(self, text: str) -> list[int]:
        """Return GPT-2's token ids of `text`.

        Raises
        ------
        ModelError
            If a word of the text is not recorded.
        """
        pieces = _PIECES.findall(text)
        missing = [piece for piece in pieces if piece not in self._ids]
        if missing:
            raise ModelError(
                f"{text!r} has words without recorded GPT-2 ids ({', '.join(map(repr, missing[:3]))}): this needs a "
                "tokenizer. Pass a directory that holds GPT-2's with --qkv-tokenizer or QKV_GPT2_TOKENIZER."
            )
        return [self._ids[piece] for piece in pieces]

    def decode(self, token_ids: Sequence[int]) -> str:
        """Return the text of `token_ids`; a token without a recorded word shows as its number."""
        return "".join(self._words.get(token, f"<{token}>") for token in token_ids)

    def pad(self, texts: Sequence[str]) -> np.ndarray:
        """Return the right-padded batch, shape (text, token) int64."""
        rows = [self.encode(text) for text in texts]
        padded = np.full((len(rows), max(map(len, rows))), self.pad_id, dtype=np.int64)
        for row, ids in zip(padded, rows, strict=True):
            row[: len(ids)] = ids
        return padded

    def fingerprint(self) -> str:
        """Return a name for the recorded words; they are a part of GPT-2's vocabulary, not the whole."""
        return "recorded-gpt2-words"


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """Turn whatever the tokenizers library raises into one line; a panic of its compiled part is no `Exception`."""
    try:
        yield
    except ModelError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise ModelError(f"{what} ({first_line(error)}); name another directory with --qkv-tokenizer.") from None


def rows_of(model: Any) -> int:
    """Return how many tokens a model's embedding knows."""
    return int(model.get_input_embeddings().weight.shape[0])


def check_fits(encoder: PretrainedEncoder | RecordedEncoder, rows: int) -> None:
    """Raise `ModelError` where a tokenizer has a token that the model's embedding does not know."""
    check_numbers(encoder.name, encoder.numbers, rows)


def load_encoder(
    directory: Path | None,
    *,
    named: str | None,
    source: str,
    gpt2: bool,
    trust_remote_code: bool,
    rows: int | None = None,
) -> PretrainedEncoder | RecordedEncoder:
    """Load the tokenizer that was named, else the model's own, else the recorded words of GPT-2.

    Parameters
    ----------
    directory : Path or None
        Of the model's files.
    named : str or None
        Directory of another tokenizer.
    source : str
        How to name the model's own tokenizer.
    gpt2 : bool
        Whether it is a GPT-2 without files of its own: then ``QKV_GPT2_TOKENIZER`` of the environment is looked
        at, and after it the recorded words.
    trust_remote_code : bool
        Whether code that comes with it may run.
    rows : int, optional
        How many tokens the model's embedding knows.

    Raises
    ------
    ModelError
        If there is no usable tokenizer, or it belongs to another model.
    """
    if named is None and gpt2:
        named = os.environ.get("QKV_GPT2_TOKENIZER") or None
        if named is None:
            return RecordedEncoder()
    try:
        place = Path(named).expanduser() if named is not None else directory
        there = place is not None and place.is_dir()
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"tokenizer directory {shown(named)} can't be looked up ({first_line(error)}).") from None
    if place is None or not there:
        raise ModelError(
            f"tokenizer directory {shown(named)} does not exist; give a directory that holds tokenizer.json, or "
            "vocab.json and merges.txt. Check --qkv-tokenizer and QKV_GPT2_TOKENIZER."
        )
    check_directory(place, tokenizer=True)
    check_tokenizer_files(place, rows=rows)
    needs = "it needs tokenizer.json, or vocab.json and merges.txt"
    with refusing(f"{shown(str(place), most=160)} holds no usable tokenizer; {needs}"):
        encoder = PretrainedEncoder(
            _load_tokenizer(place, trust=trust_remote_code), name=source if named is None else str(place)
        )
    if rows is not None:
        check_fits(encoder, rows)
    return encoder


def _load_tokenizer(place: Path, *, trust: bool) -> Any:
    from transformers import AutoTokenizer, GPT2TokenizerFast

    if (place / "tokenizer.json").exists():
        return AutoTokenizer.from_pretrained(place, local_files_only=True, trust_remote_code=trust)
    # Without its files, transformers 5 would make an empty tokenizer and say nothing.
    absent = [name for name in ("vocab.json", "merges.txt") if not (place / name).exists()]
    if absent:
        raise FileNotFoundError(f"no tokenizer.json and no {absent[0]}")
    return GPT2TokenizerFast.from_pretrained(place, local_files_only=True)
