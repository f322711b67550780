"""Description: what a result has to say of its run: a model that was run, or a file that was read."""

from __future__ import annotations

import hashlib

from qkvcheck.capture import FileSource, tokens_sha256
from qkvcheck.contexts import ContextSet, audit, is_lecture
from qkvcheck.groups import heads_text
from qkvcheck.models import HookedModel
from qkvcheck.plugin.session import Session
from qkvcheck.record import FileOrigin, ModelOrigin, Run, RunCorpus, RunSettings, Seen, cited_by, versions_of

LIBRARIES = ("qkvcheck", "torch", "transformers", "tokenizers", "numpy", "scipy", "pytest", "hypothesis")


def describe_model_run(session: Session, hooked: HookedModel, contexts: ContextSet) -> Run:
    """Return what a result has to say of a run on a model."""
    found = audit(contexts, causal=hooked.architecture.causal)
    seen = Seen(
        positions={str(index): count for index, count in found.positions.items()},
        lengths={str(length): count for length, count in found.lengths.items()},
        unseen_tokens=found.unseen_tokens,
        target_indexes=[context.target_index for context in contexts.contexts],
        causal=hooked.architecture.causal,
    )
    corpus = RunCorpus(
        name=contexts.name,
        sha256=contexts.sha256,
        contexts=found.contexts,
        distinct_prefixes=found.distinct_prefixes,
        padded_shape=[*found.padded_shape, sum(part.stop - part.start for part in hooked.projections.values())],
        lecture=is_lecture(contexts.sha256),
        target=contexts.target,
        texts=[context.text for context in contexts.contexts],
        first_words=found.first_words,
        seen=seen,
        target_id=contexts.target_id,
        tokens_sha256=tokens_sha256(hooked, contexts),
        special_tokens=hooked.special.told,
        sentences=contexts.sentences,
        target_ids=list(contexts.target_ids) if contexts.earlier else None,
    )
    return _run(session, ModelOrigin.of(hooked), corpus, device=hooked.device.type, dtype=hooked.dtype)


def describe_file_run(session: Session, file: FileSource) -> Run:
    """Return what a result has to say of activations that another tool captured."""
    target, texts = file.target, file.texts
    count = len(target.values)
    corpus = RunCorpus(
        name=file.name,
        sha256=hashlib.sha256("\n".join(texts or ()).encode()).hexdigest(),
        contexts=count,
        distinct_prefixes=count,
        padded_shape=[count, target.values.shape[-1]],
        texts=list(texts or ()),
        first_words=len({text.split(" ")[0] for text in texts}) if texts else None,
    )
    origin = FileOrigin(file.name, file.sha256, len(target.layers), file.stage)
    return _run(session, origin, corpus, device=None, dtype=str(target.values.dtype))


def _run(
    session: Session, origin: ModelOrigin | FileOrigin, corpus: RunCorpus, *, device: str | None, dtype: str
) -> Run:
    asked, file = session.settings, session.claims
    settings = RunSettings(
        layers=list(session.layers),
        heads=None if asked.heads is None else heads_text(asked.heads),
        dtype=dtype,
        device=device,
        seed=asked.seed,
        controls=asked.controls if isinstance(asked.controls, str) else list(asked.controls),
        clusters=asked.clusters,
        limit=asked.limit,
        claims_sha256=file.sha256 if file else None,
        plan_sha256=None if isinstance(origin, FileOrigin) else session.plan().sha256,
    )
    return Run(origin, corpus, versions_of(*LIBRARIES), settings, cited_by(file))
