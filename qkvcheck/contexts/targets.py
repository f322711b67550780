"""Targets: from what somebody asks for to its token ids, and to its place in a sentence."""

from __future__ import annotations

from collections.abc import Sequence

from qkvcheck.contexts.context import Context, Encoder
from qkvcheck.errors import ContextError, shown


def resolve_target(target: str | int, encoder: Encoder) -> tuple[str, int]:
    """Return text and id of a target of exactly one token.

    Parameters
    ----------
    target, encoder
        As `resolve_tokens` takes them.

    Raises
    ------
    ContextError
        If the text is not exactly one token.
    """
    text, ids = resolve_tokens(target, encoder)
    if len(ids) != 1:
        raise _wrong_count(text, ids, encoder, "it must be exactly one token here")
    return text, ids[0]


def resolve_tokens(target: str | int, encoder: Encoder) -> tuple[str, tuple[int, ...]]:
    """Return text and ids of a target of one token or several.

    Parameters
    ----------
    target : str or int
        Text such as ``" her"`` (with its leading space), or a token id.
    encoder : Encoder
        The model's tokenizer.

    Raises
    ------
    ContextError
        If there is no such token, or the text has none.
    """
    if isinstance(target, int):
        text = encoder.decode([target])
        if not text:
            raise ContextError(f"there is no token {target} in {encoder.name}; choose another with --qkv-target.")
        return text, (target,)
    ids = tuple(encoder.encode(target))
    if not ids:
        raise _wrong_count(target, ids, encoder, "it must be one at least")
    return target, ids


def _wrong_count(target: str, ids: Sequence[int], encoder: Encoder, allowed: str) -> ContextError:
    pieces = ", ".join(repr(encoder.decode([i])) for i in ids) or "nothing"
    spaced = (
        ""
        if target.startswith(" ") or not target
        else f" (a word inside a sentence has a leading space: {' ' + target!r})"
    )
    return ContextError(
        f"target {target!r} is {len(ids)} tokens in {encoder.name} ({pieces}); {allowed}. "
        f"Choose another target with --qkv-target{spaced}."
    )


def places_of(wanted: Sequence[int], token_ids: Sequence[int]) -> list[int]:
    """Return where a sequence of tokens ends in another, each time that it stands there.

    Examples
    --------
    >>> places_of([1, 2], [1, 2, 3, 1, 2]), places_of([7], [7, 7])
    ([1, 4], [0, 1])
    """
    given, size = tuple(wanted), len(wanted)
    return [end - 1 for end in range(size, len(token_ids) + 1) if tuple(token_ids[end - size : end]) == given]


def make_context(
    text: str,
    encoder: Encoder,
    *,
    target: str,
    target_id: int,
    earlier: tuple[int, ...] = (),
    occurrence: int | None = None,
    where: str = "context",
) -> Context:
    """Tokenise a text and find the target in it by its token ids.

    Parameters
    ----------
    text : str
        The sentence.
    encoder : Encoder
        The model's tokenizer.
    target, target_id : str, int
        As `resolve_target` returns them; the id of the last token, where it has several.
    earlier : tuple of int
        Ids of its tokens before the last one.
    occurrence : int, optional
        Which occurrence counts, from 1; without it the target must occur exactly once.
    where : str
        How to name this context in an error.

    Raises
    ------
    ContextError
        If the target is missing, or occurs more than once with no occurrence chosen.
    """
    ids = tuple(encoder.encode(text))
    wanted = (*earlier, target_id)
    found = places_of(wanted, ids)
    if not found:
        hint = f" Does the target need a leading space ({' ' + target!r})?" if not target.startswith(" ") else ""
        raise ContextError(
            f"{where}: target {target!r} ({_numbers(wanted)}) does not occur in {shown(text)}; "
            f"it must occur exactly once. Correct the sentence or choose another --qkv-target.{hint}"
        )
    if occurrence is None and len(found) > 1:
        raise ContextError(
            f"{where}: target {target!r} occurs {len(found)} times in {shown(text)}; it must occur exactly once. "
            'Correct the sentence, or choose one in a JSONL corpus with "occurrence": 1.'
        )
    if occurrence is not None and not 1 <= occurrence <= len(found):
        raise ContextError(
            f'{where}: "occurrence": {occurrence} was asked of target {target!r}, which occurs {len(found)} '
            f"time(s) in {shown(text)}; allowed is 1 to {len(found)}. Correct the line."
        )
    return Context(text, ids, found[(occurrence or 1) - 1], target_length=len(wanted))


def _numbers(ids: Sequence[int]) -> str:
    return f"token{'s' if len(ids) > 1 else ''} {', '.join(map(str, ids))}"
