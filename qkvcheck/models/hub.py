"""The Hugging Face hub and its cache on disk: finding a whole model there, and fetching one that was asked for.

Nothing here opens a connection except `fetch` and `answers`, and those only for a model that a person named.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qkvcheck.errors import ModelError, first_line
from qkvcheck.models.weights.files import flaws_of

GPT2_SMALL = ("openai-community/gpt2", "gpt2")
"""Both names under which GPT-2 small is kept in caches."""

CONNECT_SECONDS = 2.0
LISTING_SECONDS = 5.0
STALL_SECONDS = 20.0
STALL_VARIABLE = "QKV_STALL_SECONDS"

Announce = Callable[[str], None]

_TOKENIZER_FILES = (("tokenizer.json",), ("vocab.json", "merges.txt"))
_SMALL_FILES = frozenset(
    {
        "config.json", "tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "special_tokens_map.json",
        "added_tokens.json", "tokenizer.model", "model.safetensors.index.json",
    }
)  # fmt: skip
_INSTEAD = "give a model directory, 'embedded', or a model in the local cache instead"


@dataclass(frozen=True)
class Cached:
    """What the local cache holds of a model.

    Attributes
    ----------
    directory : Path or None
        The snapshot, if config, weights and tokenizer are all whole.
    flaw : str or None
        What is wrong with it; None if it is whole or not there at all.
    broken : tuple of str
        Files that are there and not whole, to be fetched anew.
    """

    directory: Path | None
    flaw: str | None = None
    broken: tuple[str, ...] = ()


def cached(repository: str, *, revision: str = "main", weights: bool = True, tokenizer: bool = True) -> Cached:
    """Look for a whole model in the local cache; opens no connection.

    Parameters
    ----------
    repository : str
        Such as ``"openai-community/gpt2"``.
    revision : str
        Branch, tag or commit.
    weights, tokenizer : bool
        Whether these have to be there too; the configuration always has to.

    Raises
    ------
    ModelError
        If the repository's name is not one.
    """
    from huggingface_hub import try_to_load_from_cache

    def path(name: str) -> Path | None:
        try:
            found = try_to_load_from_cache(repository, name, revision=revision)
        except ValueError as error:
            raise ModelError(f"model {repository!r} is no name of a hub model ({first_line(error)}).") from None
        return Path(found) if isinstance(found, str) else None

    config = path("config.json")
    if config is None:
        return Cached(None)
    directory = config.parent
    flaws = flaws_of(directory) if weights else {}
    if flaws:
        name, flaw = next(iter(flaws.items()))
        return Cached(None, f"{name} {flaw}", tuple(name for name in flaws if (directory / name).exists()))
    if tokenizer and not any(all(path(name) for name in names) for names in _TOKENIZER_FILES):
        return Cached(None, "its tokenizer is missing")
    return Cached(directory)


def fetch(
    repository: str,
    *,
    revision: str = "main",
    weights: bool = True,
    tokenizer: bool = True,
    announce: Announce | None = None,
) -> Path:
    """Return the directory of a model from the cache, or download it there.

    Parameters
    ----------
    repository, revision, weights, tokenizer
        As for `cached`.
    announce : callable, optional
        Told of the progress, about once a second.

    Raises
    ------
    ModelError
        If the hub doesn't answer, doesn't have the model, or the transfer stalls.
    """
    found = cached(repository, revision=revision, weights=weights, tokenizer=tokenizer)
    if found.directory is not None:
        return found.directory
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        state = f"not whole in the local cache ({found.flaw})" if found.flaw else "not in the local cache"
        raise ModelError(f"model {repository!r} is {state} and HF_HUB_OFFLINE is set; {_INSTEAD}.")
    sizes = _listing(repository, revision)
    files = _choose(repository, sizes, weights=weights)
    request = {"repository": repository, "revision": revision, "files": files, "anew": list(found.broken)}
    _download(request, total=sum(sizes[name] or 0 for name in files), announce=announce)
    found = cached(repository, revision=revision, weights=weights, tokenizer=tokenizer)
    if found.directory is None:
        flaw = found.flaw or "config.json is missing"
        raise ModelError(f"model {repository!r} was downloaded and is not whole: {flaw}; {_INSTEAD}.")
    return found.directory


def answers(repository: str = GPT2_SMALL[0]) -> str | None:
    """Ask the hub about a model; return None if it answers, else what it did in a few words."""
    reply = _ask(repository, "main")
    if reply.sizes is not None:
        return None
    return f"answered {reply.status}" if reply.status is not None else f"does not answer ({reply.failure})"


@dataclass(frozen=True)
class _Reply:
    """What the hub said: the files with their sizes, or a status, or nothing."""

    sizes: dict[str, int | None] | None = None
    status: int | None = None
    failure: str = "TimeoutError"


def _ask(repository: str, revision: str) -> _Reply:
    """Ask for the files of a model; wait two seconds, and never for retries."""
    from huggingface_hub import HfApi

    replies: list[_Reply] = []

    def ask() -> None:
        try:
            info = HfApi().model_info(repository, revision=revision, timeout=CONNECT_SECONDS, files_metadata=True)
            replies.append(_Reply({sibling.rfilename: sibling.size for sibling in info.siblings or ()}))
        except Exception as error:
            status = getattr(getattr(error, "response", None), "status_code", None)
            replies.append(_Reply(status=None if status is None else int(status), failure=type(error).__name__))

    # In a thread, since no timeout covers the look-up of a name.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(LISTING_SECONDS)
    return replies[0] if replies else _Reply()


def _listing(repository: str, revision: str) -> dict[str, int | None]:
    """Return the files of a model on the hub with their sizes."""
    from huggingface_hub import constants

    reply = _ask(repository, revision)
    if reply.sizes is not None:
        return reply.sizes
    if reply.status is not None:
        raise ModelError(_told_by_status(repository, revision, reply.status))
    raise ModelError(
        f"model {repository!r} is not in the local cache and the hub at {constants.ENDPOINT} does not answer "
        f"({reply.failure}); check the network, or {_INSTEAD}."
    )


def _told_by_status(repository: str, revision: str, status: int) -> str:
    from huggingface_hub import constants

    if status in (401, 403):
        remedy = "it does not exist or needs access; check its name, or set HF_TOKEN to a token that may read it"
    elif status == 404:
        remedy = "there is no such model or revision; check its name"
    elif status == 429:
        remedy = "it asks to slow down; wait some minutes and run again"
    elif status >= 500:
        remedy = "that is an error of the hub's own; run again later"
    else:
        remedy = "that is not an answer a hub should give; check HF_ENDPOINT"
    return (
        f"the hub at {constants.ENDPOINT} answered {status} for model {repository!r}, revision {revision!r}: {remedy}."
    )


def _choose(repository: str, sizes: dict[str, int | None], *, weights: bool) -> list[str]:
    """Return the files to download: configuration, tokenizer and safetensors, in this order."""
    small = sorted(_SMALL_FILES & sizes.keys())
    if not weights:
        return small
    tensors = sorted(name for name in sizes if name.startswith("model") and name.endswith(".safetensors"))
    if "model.safetensors" in tensors:
        tensors = ["model.safetensors"]
    if not tensors:
        pickled = next((name for name in sizes if name.endswith((".bin", ".pt", ".pth"))), None)
        found = f"only {pickled}, a pickle" if pickled else "no weights"
        raise ModelError(
            f"model {repository!r} has {found}; weights are read from safetensors only. Look for a revision with "
            "model.safetensors, or convert it elsewhere with save_pretrained and give the directory."
        )
    return [*small, *tensors]


def _download(request: Mapping[str, Any], *, total: int, announce: Announce | None) -> None:
    """Run the downloading child, and end it if no new byte arrives for a while."""
    from huggingface_hub import constants

    limit, repository = stall_limit(STALL_SECONDS), str(request["repository"])
    text = json.dumps(dict(request))
    child = subprocess.Popen(
        [sys.executable, "-m", "qkvcheck.models.download"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_XET": "1"},
    )
    started = time.monotonic()
    arrived, moved = -1, started
    try:
        while True:
            try:
                answer, _ = child.communicate(text, timeout=1.0)
                break
            except subprocess.TimeoutExpired:
                text = ""  # it has been sent
            now, size = time.monotonic(), _arrived(repository)
            # Only a new record counts: a server that cuts off the same transfer again and again stalls too.
            if size > arrived:
                arrived, moved = size, now
            if announce is not None:
                announce(f"downloading {repository}: {size / 1e6:,.0f} of {total / 1e6:,.0f} MB, {now - started:.0f} s")
            if now - moved > limit:
                raise ModelError(
                    f"the download of {repository!r} from {constants.ENDPOINT} stalled: nothing new for {limit:.0f} s "
                    f"at {size:,} of {total:,} bytes. Run again, or raise {STALL_VARIABLE} on a slow line."
                )
    finally:
        _end(child)
    _check_answer(repository, str(request["revision"]), answer)


def _check_answer(repository: str, revision: str, answer: str) -> None:
    try:
        told = json.loads(answer.strip().splitlines()[-1])
    except (ValueError, IndexError):
        told = {"status": None, "reason": "the downloading process ended without a word"}
    if told["status"] is not None:
        raise ModelError(_told_by_status(repository, revision, int(told["status"])))
    if told["reason"] is not None:
        raise ModelError(f"model {repository!r} could not be downloaded ({told['reason']}); run again, or {_INSTEAD}.")


def _arrived(repository: str) -> int:
    """Return the bytes that the cache holds of a model, partial files included."""
    from huggingface_hub import constants

    total = 0
    blobs = Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}" / "blobs"
    if blobs.is_dir():
        for path in blobs.iterdir():
            try:
                total += path.stat().st_size
            except OSError:  # moved into place in between
                continue
    return total


def _end(child: subprocess.Popen[str]) -> None:
    """End the child: first so that it can remove its partial file, then for good."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            pipe.close()


def stall_limit(usual: float) -> float:
    """Return after how many seconds without a new byte a download is given up: what the environment says, or `usual`.

    Raises
    ------
    ModelError
        If the environment says what is no number above 0.
    """
    text = os.environ.get(STALL_VARIABLE, "")
    try:
        seconds = float(text) if text else usual
    except ValueError:
        seconds = -1.0
    if not seconds > 0:
        raise ModelError(f"{STALL_VARIABLE} is {text!r}; it must be a number of seconds above 0, such as 20.")
    return seconds
