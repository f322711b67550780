"""Tokenizer files: looked at before the tokenizers library is given them, which ends the process over some of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from qkvcheck.errors import ModelError, shown
from qkvcheck.inputs import Given

LIMIT = 100_000_000
"""Bytes of a file; the largest tokenizers have a third of that."""
IDS = 10_000_000
"""Tokens that a vocabulary may have where the embedding is not known."""
_DOCUMENTS = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json")
_TEXTS = ("merges.txt", "chat_template.jinja")
_OTHERS = ("tokenizer.model", "spiece.model")
_PATHS = ("vocab_file", "merges_file", "tokenizer_file", "spm_file", "vocab_files")


def check_tokenizer_files(place: Path, *, rows: int | None) -> None:
    """Refuse tokenizer files that no tokenizer can be made of, or only one that the embedding does not fit.

    Parameters
    ----------
    place : Path
        The directory.
    rows : int or None
        How many tokens the model's embedding knows.

    Raises
    ------
    ModelError
        If a file can't be read or is not what it should be; the message names it.
    """
    found: dict[str, Any] = {}
    for name in (*_DOCUMENTS, *_TEXTS, *_OTHERS):
        given = _given(place, name)
        if given.path.exists():
            if name in _DOCUMENTS:
                found[name] = given.read_json(limit=LIMIT)
                if not isinstance(found[name], dict):
                    raise given.refused(f"is no JSON object ({shown(found[name])})")
            elif name in _TEXTS:
                given.read_text(limit=LIMIT)
            elif given.check() > LIMIT:
                raise given.refused(f"has more than {LIMIT:,} bytes")
    most = IDS if rows is None else rows
    if "tokenizer.json" in found:
        _check_fast(_given(place, "tokenizer.json"), found["tokenizer.json"], most)
    if "vocab.json" in found:
        _check_vocabulary(_given(place, "vocab.json"), found["vocab.json"], most)
    if "added_tokens.json" in found:
        _check_vocabulary(_given(place, "added_tokens.json"), found["added_tokens.json"], most)
    _check_settings(_given(place, "tokenizer_config.json"), found.get("tokenizer_config.json", {}), most)


def _given(place: Path, name: str) -> Given:
    return Given(place / name, "tokenizer file", ModelError, "name another directory with --qkv-tokenizer")


def _check_fast(given: Given, data: dict[str, Any], most: int) -> None:
    """Check what tokenizer.json says of its tokens."""
    model = data.get("model")
    if not isinstance(model, dict):
        raise given.refused(f"has no model ({shown(model)})")
    dropout = model.get("dropout")
    if dropout not in (None, 0):
        raise given.refused(
            f"has model.dropout {shown(dropout)}: one text would have other tokens each time", do="set it to null"
        )
    vocabulary = model.get("vocab")
    if isinstance(vocabulary, dict):
        _check_vocabulary(given, vocabulary, most)
    elif isinstance(vocabulary, list):
        if len(vocabulary) > most:
            raise _too_many(given, f"{len(vocabulary):,} tokens", most)
    else:
        raise given.refused(f"has no model.vocab ({shown(vocabulary)})")
    added = data.get("added_tokens", [])
    if not isinstance(added, list) or not all(isinstance(one, dict) for one in added):
        raise given.refused(f"has added_tokens {shown(added)}; they are a list of objects")
    for one in added:
        if not isinstance(one.get("content"), str):
            raise given.refused(f"has an added token {shown(one)}; its content is a text")
        _check_id(given, one["content"], one.get("id"), most)


def _check_vocabulary(given: Given, vocabulary: dict[str, Any], most: int) -> None:
    """Check that each token has a whole number of its own that the embedding knows."""
    for token, number in vocabulary.items():
        _check_id(given, token, number, most)
    if len(set(vocabulary.values())) != len(vocabulary):
        seen: dict[int, str] = {}
        for token, number in vocabulary.items():
            if number in seen:
                raise given.refused(f"gives the tokens {shown(seen[number])} and {shown(token)} one number, {number}")
            seen[number] = token


def _check_id(given: Given, token: str, number: Any, most: int) -> None:
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise given.refused(f"gives the token {shown(token)} the number {shown(number)}; it is a whole number from 0")
    if number >= most:
        raise _too_many(given, f"the token {shown(token)} with number {shown(number)}", most)


def _too_many(given: Given, what: str, most: int) -> Exception:
    return given.refused(
        f"has {what}, and the embedding has {most:,} rows: it belongs to another model",
        do="take the tokenizer of these weights",
    )


def _check_settings(given: Given, data: dict[str, Any], most: int) -> None:
    """Check what tokenizer_config.json adds, and that it names no file elsewhere."""
    for name in _PATHS:
        if data.get(name) is not None:
            raise given.refused(f"names a file of its own ({name}: {shown(data[name])})", do=f"remove {name!r} there")
    decoder = data.get("added_tokens_decoder", {})
    if not isinstance(decoder, dict):
        raise given.refused(f"has added_tokens_decoder {shown(decoder)}; it is an object")
    for number, token in decoder.items():
        if not (number.isascii() and number.isdigit() and len(number) < 12) or not isinstance(token, dict):
            raise given.refused(f"has added_tokens_decoder {shown(number)}: {shown(token)}; it gives numbers to tokens")
        _check_id(given, str(token.get("content")), int(number), most)


def check_numbers(name: str, numbers: Iterable[int], rows: int) -> None:
    """Refuse a tokenizer with a token that a model's embedding does not know.

    Parameters
    ----------
    name : str
        Whose tokens these are.
    numbers : iterable of int
        Every token's number.
    rows : int
        How many the embedding knows.
    """
    largest = max(numbers, default=-1)
    if largest < 0:
        raise ModelError(f"the tokenizer of {shown(name)} has no tokens; name another with --qkv-tokenizer.")
    if largest >= rows:
        raise ModelError(
            f"the tokenizer of {shown(name)} has tokens up to number {largest:,}, and the embedding has {rows:,} rows: "
            "they belong to different models. Take the tokenizer of these weights, or resize the embedding."
        )
