"""Run: what a result says of its run: where the activations come from, the contexts, versions and settings.

In the result file what is unknown is null; files of earlier versions, which had zeros and "unknown" there, are read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from importlib import metadata
from platform import python_version
from typing import TYPE_CHECKING, Any

from qkvcheck.errors import DocumentError, shown
from qkvcheck.groups import Stage
from qkvcheck.inputs import from_document, part_of

if TYPE_CHECKING:
    from qkvcheck.claims import ClaimsFile
    from qkvcheck.models import HookedModel

UNKNOWN = "unknown"
FROM_FILE = "activations captured elsewhere"


@dataclass(frozen=True)
class ModelOrigin:
    """A model that was run.

    Attributes
    ----------
    spec, slug, source : str
        What was asked for, its name in files, and where it came from.
    fingerprint : str
        Sha256 of weights, architecture and tokenizer.
    family : str
        Such as ``"gpt2"``.
    layers, parameters : int
        How many.
    stand_in, untrained : bool
        Whether it stands in for GPT-2 small, and whether its weights are freshly drawn.
    training : mapping or None
        How it was trained, where that is known.
    called : str
        What verdicts call it, such as ``"the stand-in"``; empty for a model that somebody named.
    """

    spec: str
    slug: str
    source: str
    fingerprint: str
    family: str
    layers: int
    parameters: int
    stand_in: bool
    untrained: bool
    training: Mapping[str, Any] | None = None
    called: str = ""

    @classmethod
    def of(cls, hooked: HookedModel) -> ModelOrigin:
        """Return what is told of a model that is at hand."""
        from qkvcheck.models import EMBEDDED, embedded_training

        return cls(
            spec=str(hooked.spec),
            slug=hooked.slug,
            source=hooked.origin,
            fingerprint=hooked.fingerprint,
            family=hooked.architecture.family,
            layers=hooked.depth,
            parameters=hooked.parameters,
            stand_in=hooked.is_stand_in,
            untrained=hooked.is_untrained,
            training=embedded_training() if hooked.spec.source == EMBEDDED and not hooked.is_untrained else None,
            called=hooked.called,
        )

    def __post_init__(self) -> None:
        if self.stand_in and not self.called:  # files of earlier versions knew of one
            object.__setattr__(self, "called", "the stand-in")

    def to_dict(self) -> dict[str, object]:
        """Return plain data for JSON."""
        return {"origin": "model", **asdict(self)}


@dataclass(frozen=True)
class FileOrigin:
    """A file of activations that another tool captured.

    Attributes
    ----------
    spec : str
        The file's name.
    fingerprint : str
        Sha256 of the file.
    layers : int
        How many it holds.
    stage : Stage or None
        Where on their way Q, K and V were taken; None where it does not say, and is read as ``projection``.
    """

    spec: str
    fingerprint: str
    layers: int
    stage: Stage | None = None

    stand_in = False
    called = ""
    untrained = False
    source = FROM_FILE

    @property
    def slug(self) -> str:
        """Its name in other files."""
        return self.spec

    def to_dict(self) -> dict[str, object]:
        """Return plain data for JSON; what a file does not say is None."""
        unknown = {"family": None, "parameters": None, "training": None}
        said = {"slug": self.slug, "source": self.source, "stand_in": self.stand_in, "untrained": self.untrained}
        return {"origin": "file", **asdict(self), **said, **unknown}


@dataclass(frozen=True)
class Seen:
    """What a model can see of the contexts.

    Attributes
    ----------
    positions, lengths : mapping of str to int
        How many contexts have their target at an index, and how many tokens.
    unseen_tokens : int
        Tokens after the targets.
    target_indexes : sequence of int
        Of each context.
    causal : bool
        Whether a target sees nothing after it.
    """

    positions: Mapping[str, int]
    lengths: Mapping[str, int]
    unseen_tokens: int
    target_indexes: Sequence[int]
    causal: bool = True


@dataclass(frozen=True)
class RunCorpus:
    """The contexts of a run.

    Attributes
    ----------
    name, sha256 : str
        The corpus, and the hash of its texts.
    contexts, distinct_prefixes : int
        How many, and how many of them differ left of the target.
    padded_shape : sequence of int
        (context, token, width), or (context, width) of a file.
    lecture : bool
        Whether they are the lecture's own 54 sentences.
    target : str or None
        The target token, where it is known.
    texts : sequence of str
        The sentences, where they are known.
    first_words : int or None
        Different first tokens; None where the texts are not known.
    seen : Seen or None
        None where the tokens are not known.
    target_id : int or None
        The target token's id.
    tokens_sha256 : str or None
        Hash of the contexts' token ids and of the target's place in each; None where the tokens are not known.
    special_tokens : str or None
        What stands before and after every context, and what decided it; None where that is not known.
    sentences : int or None
        How many sentences the corpus has, where one of several targets was judged on those that hold it; else None.
    target_ids : sequence of int or None
        Ids of the target's tokens, where it has several: the last one, `target_id`, is what was captured. Else None.
    """

    name: str
    sha256: str
    contexts: int
    distinct_prefixes: int
    padded_shape: Sequence[int]
    lecture: bool = False
    target: str | None = None
    texts: Sequence[str] = ()
    first_words: int | None = None
    seen: Seen | None = None
    target_id: int | None = None
    tokens_sha256: str | None = None
    special_tokens: str | None = None
    sentences: int | None = None
    target_ids: Sequence[int] | None = None

    @property
    def of_several(self) -> bool:
        """Whether several targets were asked for, each on the sentences that hold it."""
        return self.sentences is not None


@dataclass(frozen=True)
class RunSettings:
    """How a run was made; `device` is None where a file does not say.

    Attributes
    ----------
    layers : sequence of int
        Zero-based.
    dtype : str
        Number format.
    device : str or None
        Kind of device.
    seed : int
        First seed of the untrained twins.
    controls : str or sequence of str
        Those that were asked for.
    clusters : str
        How contexts were clustered.
    claims_sha256 : str or None
        Of the claims file.
    plan_sha256 : str or None
        Hash of what is captured besides the contexts: word lists, fresh contexts, clusters.
    heads : str or None
        Attention heads that were asked for; None where each claim has its own, or none.
    limit : int or None
        How many contexts were asked for at most; None where all were.
    """

    layers: Sequence[int]
    dtype: str
    device: str | None
    seed: int
    controls: str | Sequence[str]
    clusters: str
    claims_sha256: str | None
    plan_sha256: str | None = None
    heads: str | None = None
    limit: int | None = None


@dataclass(frozen=True)
class Cited:
    """Where some claims come from: their ids and a text."""

    claims: Sequence[str]
    text: str


def versions_of(*libraries: str) -> dict[str, str]:
    """Return the versions of Python and of some libraries."""
    return {"python": python_version(), **{name: metadata.version(name) for name in libraries}}


def cited_by(claims: ClaimsFile | None) -> tuple[Cited, ...]:
    """Return which claims of a file are of which source."""
    return () if claims is None else tuple(Cited(one.claims, one.text) for one in claims.citations)


@dataclass(frozen=True)
class Run:
    """What a result says of its run.

    Attributes
    ----------
    origin : ModelOrigin or FileOrigin
        Where the activations come from.
    corpus : RunCorpus
        The contexts.
    versions : mapping of str to str
        Of the libraries.
    settings : RunSettings
        How it was made.
    citations : sequence of Cited
        Where its claims come from.
    """

    origin: ModelOrigin | FileOrigin
    corpus: RunCorpus
    versions: Mapping[str, str]
    settings: RunSettings
    citations: Sequence[Cited] = field(default_factory=tuple)

    @property
    def named(self) -> str:
        """What was asked for; of several targets with the one of this run."""
        spec = self.origin.spec
        return f"{spec}, target {self.corpus.target!r}" if self.corpus.of_several else spec

    @cached_property
    def text(self) -> str:
        """The same as JSON; made once, since every test of a run carries it, with all its sentences."""
        return json.dumps(self.to_dict())

    def to_dict(self) -> dict[str, object]:
        """Return plain data for JSON, under the names of the result file."""
        corpus = {name: value for name, value in asdict(self.corpus).items() if name != "seen"}
        unseen = dict.fromkeys((one.name for one in fields(Seen)), None)
        return {
            "model": self.origin.to_dict(),
            "corpus": {**corpus, **(unseen if self.corpus.seen is None else asdict(self.corpus.seen))},
            "versions": dict(self.versions),
            "settings": asdict(self.settings),
            "citations": [asdict(cited) for cited in self.citations],
        }


@dataclass(frozen=True)
class _Beside:
    """What stands beside model, corpus and settings."""

    versions: Mapping[str, str]
    citations: Sequence[Cited] = ()


def run_from_dict(data: Mapping[str, Any]) -> Run:
    """Rebuild a run from what `Run.to_dict` returned, after a trip through JSON.

    Raises
    ------
    DocumentError
        If something is missing or is not what its type says.
    """
    model, corpus, settings = (part_of(data, name) for name in ("model", "corpus", "settings"))
    kind = model.get("origin", "file" if model.get("source") == FROM_FILE else "model")
    if kind not in ("file", "model"):
        raise DocumentError(f"model.origin is {shown(kind)}; it has to be one of file, model")
    from_file = kind == "file"
    origin: ModelOrigin | FileOrigin
    if from_file:
        origin = from_document(FileOrigin, model, at="model")
    else:
        origin = from_document(ModelOrigin, model, at="model")
    seen = None if from_file or not corpus.get("positions") else from_document(Seen, corpus, at="corpus")
    corpus.pop("seen", None)
    if from_file:  # earlier files had zeros and "unknown" for what no file says
        corpus["target"] = None
        corpus["first_words"] = corpus.get("first_words") or None
        settings["device"] = None if settings.get("device") == UNKNOWN else settings.get("device")
    held = replace(from_document(RunCorpus, corpus, at="corpus"), seen=seen)
    beside = from_document(_Beside, data)
    made = from_document(RunSettings, settings, at="settings")
    return Run(origin, held, beside.versions, made, tuple(beside.citations))
