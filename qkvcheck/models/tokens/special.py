"""Special tokens: what stands before and after every context that a model reads, such as a beginning-of-sequence token.

What decides is the model's own files, or what its family is known to need; never the version of a library. One and the
same GGUF file gives ``add_bos_token`` true under transformers 4.57.6 and false under 5.24.0; the file says false.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qkvcheck.errors import ModelError, shown
from qkvcheck.inputs import Given
from qkvcheck.models.architecture import Architecture
from qkvcheck.models.tokenizers import PretrainedEncoder, RecordedEncoder, refusing

_LIMIT = 20_000_000
_PROBE = "a"


@dataclass(frozen=True)
class SpecialTokens:
    """What stands around every context.

    Attributes
    ----------
    before, after : tuple of int
        Token ids.
    text : str
        The same for a person, such as ``"<s>"``; empty where there is none.
    reason : str
        What decided it.
    """

    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    text: str = ""
    reason: str = "the model has none"

    def __len__(self) -> int:
        return len(self.before) + len(self.after)

    @property
    def told(self) -> str:
        """What a header says of it.

        Examples
        --------
        >>> SpecialTokens((1,), (), "<s>", "tokenizer_config.json says so").told, SpecialTokens().told
        ('<s> (tokenizer_config.json says so)', 'none (the model has none)')
        """
        return f"{self.text or 'none'} ({self.reason})"


def special_tokens_of(
    encoder: PretrainedEncoder | RecordedEncoder,
    architecture: Architecture,
    *,
    asked: str = "auto",
    directory: Path | None = None,
) -> SpecialTokens:
    """Return what stands around every context that a model reads.

    Parameters
    ----------
    encoder : PretrainedEncoder or RecordedEncoder
        The model's tokenizer.
    architecture : Architecture
        Of its family: whether it is causal, and whether it needs a beginning token.
    asked : {"auto", "yes", "no"}
        What was asked for.
    directory : Path, optional
        Where the tokenizer's files are.

    Raises
    ------
    ModelError
        If one is asked for and there is none, or the files can't be read.
    """
    if asked == "no":
        return SpecialTokens(reason="--qkv-bos=no")
    if isinstance(encoder, RecordedEncoder):
        if asked == "yes":
            return SpecialTokens((encoder.pad_id,), (), "<|endoftext|>", "--qkv-bos=yes")
        return SpecialTokens(reason="GPT-2 reads none")
    own = _own(encoder, directory)
    if not architecture.causal:
        if asked == "yes" and not own[0]:
            raise ModelError(f"--qkv-bos=yes: {encoder.name} puts no token before a text; leave the option out.")
        return _named(encoder, own[0], own[1], "its tokenizer puts them there")
    bos = encoder.bos_id
    if asked == "yes":
        if bos is None:
            raise ModelError(f"--qkv-bos=yes: {encoder.name} has no beginning token; leave the option out.")
        return _named(encoder, (bos,), (), "--qkv-bos=yes")
    told = _said(directory)
    wanted, reason = (told, "its tokenizer_config.json says so") if told is not None else (architecture.bos, "")
    if wanted is None:
        return _named(encoder, own[0], (), "its tokenizer puts it there" if own[0] else "its tokenizer puts none there")
    if not wanted or bos is None:
        return SpecialTokens(reason=reason or f"{architecture.family} reads none")
    return _named(encoder, (bos,), (), reason or f"{architecture.family} needs it")


def _named(encoder: PretrainedEncoder, before: tuple[int, ...], after: tuple[int, ...], reason: str) -> SpecialTokens:
    text = " ... ".join(encoder.decode(part) for part in (before, after) if part)
    return SpecialTokens(before, after, text, reason)


def _said(directory: Path | None) -> bool | None:
    """Return what tokenizer_config.json says of a beginning token, if anything."""
    path = None if directory is None else directory / "tokenizer_config.json"
    if path is None or not path.is_file():
        return None
    given = Given(path, "tokenizer configuration", ModelError, "give the files of one tokenizer")
    data = given.read_json(limit=_LIMIT)
    told = data.get("add_bos_token") if isinstance(data, dict) else None
    return told if isinstance(told, bool) else None


def _own(encoder: PretrainedEncoder, directory: Path | None) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return what a tokenizer puts before and after a text: the file's own word, where there is one."""
    path = None if directory is None else directory / "tokenizer.json"
    if path is None or not path.is_file():
        return _around(encoder.encode(_PROBE), encoder.encode_with_special(_PROBE))
    from tokenizers import Tokenizer

    with refusing(f"{shown(str(path))} is no usable tokenizer"):
        tokenizer: Any = Tokenizer.from_file(str(path))
        plain, whole = (tokenizer.encode(_PROBE, add_special_tokens=added).ids for added in (False, True))
    return _around(plain, whole)


def _around(plain: list[int], whole: list[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    spare = len(whole) - len(plain)
    for start in range(spare + 1):
        if whole[start : start + len(plain)] == plain:
            return tuple(whole[:start]), tuple(whole[start + len(plain) :])
    return (), ()
