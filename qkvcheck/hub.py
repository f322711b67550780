"""The Hugging Face hub and its cache on disk: finding a whole model there, and fetching one that was asked for.

Nothing here opens a connection except `fetch`, and that only for a model that a person named.
"""

from __future__ import annotations

from pathlib import Path

from qkvcheck.errors import ModelError

CONNECT_SECONDS = 2.0
GPT2_SMALL = ("openai-community/gpt2", "gpt2")
"""Both names under which GPT-2 small is kept in caches."""

_TOKENIZER_FILES = (("tokenizer.json",), ("vocab.json", "merges.txt"))
_PATTERNS = ["config.json", "*.safetensors", "*.safetensors.index.json", "tokenizer*", "vocab.json", "merges.txt",
             "special_tokens_map.json"]  # fmt: skip


def cached(repository: str, *, revision: str = "main") -> Path | None:
    """Return the cached snapshot of a model if config, weights and tokenizer are all there.

    Parameters
    ----------
    repository : str
        Such as ``"openai-community/gpt2"``.
    revision : str
        Branch, tag or commit.
    """
    from huggingface_hub import try_to_load_from_cache

    def path(name: str) -> Path | None:
        found = try_to_load_from_cache(repository, name, revision=revision)
        return Path(found) if isinstance(found, str) else None

    config = path("config.json")
    weights = path("model.safetensors")
    tokenizer = any(all(path(name) for name in names) for names in _TOKENIZER_FILES)
    return config.parent if config and weights and tokenizer else None


def fetch(repository: str, *, revision: str = "main") -> Path:
    """Return the directory of a model from the cache, or download it there.

    Raises
    ------
    ModelError
        If the hub doesn't answer or doesn't have the model.
    """
    found = cached(repository, revision=revision)
    if found is not None:
        return found
    from huggingface_hub import constants, get_session, snapshot_download
    from huggingface_hub.utils import build_hf_headers

    allowed = "give a model directory, 'embedded', or a model in the local cache instead"
    if constants.HF_HUB_OFFLINE:
        raise ModelError(f"model {repository!r} is not in the local cache and HF_HUB_OFFLINE is set; {allowed}.")
    url = f"{constants.ENDPOINT}/{repository}/resolve/{revision}/config.json"
    try:
        # The hub library would retry for over twenty seconds; ask once, shortly, before it starts.
        session = get_session()
        # huggingface_hub 1 speaks through httpx, earlier ones through requests.
        follow = "follow_redirects" if hasattr(session, "follow_redirects") else "allow_redirects"
        answer = session.head(url, timeout=CONNECT_SECONDS, headers=build_hf_headers(), **{follow: True})
    except Exception as error:
        raise ModelError(
            f"model {repository!r} is not in the local cache and the hub at {constants.ENDPOINT} does not answer "
            f"({type(error).__name__}); check the network, or {allowed}."
        ) from None
    if answer.status_code >= 400:
        raise ModelError(
            f"the hub at {constants.ENDPOINT} answered {answer.status_code} for model {repository!r} "
            f"(revision {revision!r}); check its name and your access, or {allowed}."
        )
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=_PATTERNS))
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"model {repository!r} could not be downloaded ({reason}); run again, or {allowed}.") from None
