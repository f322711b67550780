"""Values: how the text of an option is read, each as one value or one line of what is wrong with it."""

from __future__ import annotations

import re
from unicodedata import category

from qkvcheck.errors import SettingsError, shown
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


def parse_layers_of(flag: str, text: str) -> Layers:
    """Read layers, as `parse_layers` does."""
    return parse_layers(text, flag=flag)


def parse_heads(flag: str, text: str) -> Heads:
    """Read heads such as ``3``, ``0-3`` or ``all``."""
    heads = heads_of(text)
    if heads is None:
        raise SettingsError(f"heads {shown(text)} can't be read; give {HEADS_FORM}. Check {flag}.")
    return heads


def parse_text(_: str, text: str) -> str:
    """Take a text as it is."""
    return text


def each_target(text: str) -> list[str]:
    """Return the targets that a text names: several are ids or stand in double quotes, between spaces or commas.

    Examples
    --------
    >>> each_target('" her", " him" 607'), each_target(" her")
    (['" her"', '" him"', '607'], [' her'])
    """
    return re.findall(_TARGET, text) if _TARGETS.fullmatch(text) else [text]


def parse_target(flag: str, text: str) -> str | int:
    """Read a token's id, or its text; one in double quotes is taken without them, for ini files strip spaces."""
    if _TARGETS.fullmatch(text):
        raise SettingsError(f"{flag} {shown(text)} names several tokens; one is taken here.")
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    elif text.isascii() and text.isdigit():
        return parse_whole_number(flag, text, most=LAST_ID, also=", or a text in double quotes")
    if not text:
        raise SettingsError(f'{flag} names no token; give its text, such as " her", or its id.')
    return text


def parse_names(_: str, text: str) -> tuple[str, ...]:
    """Read names separated by spaces or commas; one that holds either stands in double quotes."""
    return tuple(quoted or plain for quoted, plain in re.findall(r'"([^"]+)"|([^\s,"]+)', text))


def parse_one_of(flag: str, text: str, *, allowed: tuple[str, ...]) -> str:
    """Read one of some words."""
    if text not in allowed:
        listed = (" or " if len(allowed) == 2 else ", ").join(allowed)
        raise SettingsError(f"{flag} {shown(text)} is not known; allowed: {listed}.")
    return text


def parse_controls(_flag: str, text: str) -> str | tuple[str, ...]:
    """Read ``all``, ``claim`` or a list of controls."""
    if text in ("all", "claim"):
        return text
    return tuple(part.strip() for part in text.split(","))  # a project may register its own: checked later


def parse_whole_number(flag: str, text: str, *, most: int, least: int = 0, also: str = "") -> int:
    """Read a whole number; `also` says what else is allowed."""
    digits = text.lstrip("0") or "0"  # Python refuses to read thousands of them
    whole = text.isascii() and text.isdigit() and len(digits) <= len(str(most))
    if not (whole and least <= int(digits) <= most):
        raise SettingsError(f"{flag} {shown(text)} is not a whole number from {least} to {most}{also}; check it.")
    return int(digits)


def parse_from_zero(flag: str, text: str) -> float:
    """Read a number from 0."""
    if re.fullmatch(r"\s*(\d{1,9}\.?\d{0,20}|\.\d{1,20})(e[+-]?\d{1,2})?\s*", text, flags=re.ASCII) is None:
        raise SettingsError(f"{flag} {shown(text)} is no number from 0, such as 0.05; check it.")
    return float(text)


def parse_switch(flag: str, text: str) -> bool:
    """Read yes or no."""
    if (value := text.lower()) not in (*_YES, *_NO):
        ini = flag.removeprefix("--").replace("-", "_")  # on the command line it has no value that could be wrong
        raise SettingsError(f"{ini} {shown(text)} is neither yes nor no; check it.")
    return value in _YES
