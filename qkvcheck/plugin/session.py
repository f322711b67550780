"""Session: one run's model, contexts, samples and controls, made from its settings when first asked for.

A session is made in every pytest that has this plugin, so what is heavy is imported where it is needed.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qkvcheck.claims import DEFAULT_LAYER, Claim, ClaimsFile
from qkvcheck.contexts import ContextSet, audit, encode_corpus, is_lecture, read_corpus
from qkvcheck.errors import ClaimError, SettingsError
from qkvcheck.settings import Settings

if TYPE_CHECKING:
    from qkvcheck.capture import Samples, Submission
    from qkvcheck.claims import Controls
    from qkvcheck.models import HookedModel
    from qkvcheck.record import Baseline

LIBRARIES = ("qkvcheck", "torch", "transformers", "tokenizers", "numpy", "scipy", "pytest", "hypothesis")

_DEFAULT_WORDS = {"pronouns": (" her", " him", " me", " you", " us", " them", " it"), "others": (" people", " water")}


UNSPOKEN = ("replication", "float32", "cpu")


class Session:
    """What one run works with.

    Parameters
    ----------
    settings : Settings
        What was asked for.
    claims : ClaimsFile or None
        The project's claims file, where it has one.
    baselines : Path or None
        Where the project keeps recorded verdicts.
    """

    def __init__(self, settings: Settings, claims: ClaimsFile | None, *, baselines: Path | None = None) -> None:
        self.settings = settings
        self.claims = claims
        self.baselines = baselines
        self._announce: Callable[[str], None] | None = None
        self._recorded: dict[Path, Baseline] = {}

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers asked for, else those of the claims file, else layer 6 (zero-based)."""
        if self.submission is not None:
            held = self.submission.layers
            return tuple(layer for layer in self.settings.layers or held if layer in held)
        if self.settings.layers is not None:
            return self.settings.layers
        return self.claims.layers if self.claims else (DEFAULT_LAYER,)

    @property
    def deciding_layer(self) -> int | None:
        """The layer at which the claims file's claims are decided."""
        return self.claims.layer if self.claims else None

    def prepare(self, layers: Iterable[int] = (), *, announce: Callable[[str], None] | None = None) -> None:
        """Load what was asked for, so that a mistake shows before the first experiment.

        Parameters
        ----------
        layers : iterable of int
            Further zero-based layers that experiments ask for.
        announce : callable, optional
            Told of a download's progress.

        Raises
        ------
        QkvcheckError
            If a setting, the corpus or the model can't be used.
        """
        from qkvcheck.capture import check_layers

        self._announce = announce
        if self.submission is not None:
            missing = sorted(set(layers) - set(self.submission.layers))
            if missing:
                raise SettingsError(
                    f"{self.submission.name} holds no layer {missing[0]} (zero-based), which an experiment names; it "
                    f"holds {', '.join(map(str, self.submission.layers))}."
                )
            return
        if self.settings.strict and self.settings.model == "auto" and self.hooked.is_stand_in:
            raise SettingsError(
                "--qkv-strict: auto would fall back to the embedded model, a stand-in; name the model with --qkv-model "
                "(gpt2 fetches the paper's, embedded takes the stand-in)."
            )
        corpus = read_corpus(self.settings.corpus)  # the cheap mistakes first
        if self.settings.baseline is not None and self.settings.update is None:
            self._read(Path(self.settings.baseline))
        check_layers(self.hooked, sorted({*self.layers, *layers}))
        contexts = encode_corpus(corpus, self.hooked.encoder, target=self.settings.target)
        if self.settings.baseline is not None and self.settings.update is None:
            self.baseline_for(describe_run(self, self.hooked, contexts))

    @cached_property
    def submission(self) -> Submission | None:
        """The activations captured elsewhere that are to be judged, if any were named."""
        if self.settings.activations is None:
            return None
        from qkvcheck.capture import read_submission

        return read_submission(self.settings.activations)

    @cached_property
    def hooked(self) -> HookedModel:
        """The model that the settings name."""
        from qkvcheck.models import load_model

        s = self.settings
        return load_model(
            s.model,
            tokenizer=s.tokenizer,
            device=s.device,
            dtype=s.dtype,
            trust_remote_code=s.trust_remote_code,
            announce=self._announce,
        )

    def contexts_for(self, hooked: HookedModel) -> ContextSet:
        """Return the corpus that the settings name, tokenised for a model."""
        return encode_corpus(read_corpus(self.settings.corpus), hooked.encoder, target=self.settings.target)

    def samples_of(self, hooked: HookedModel, contexts: ContextSet, *, layers: Iterable[int] = ()) -> Samples:
        """Return what experiments measure of a model, at the session's layers and any further ones."""
        from qkvcheck.capture import Plan, Samples

        file = dict(self.claims.settings) if self.claims else {}
        fresh = file.get("fresh", {})
        plan = Plan(
            layers=tuple(sorted({*self.layers, *layers})),
            words=file.get("words", _DEFAULT_WORDS),
            fresh_count=fresh.get("count", 59),
            fresh_seed=fresh.get("seed", 0),
            clusters=self.settings.clusters,
            batch_size=self.settings.batch_size,
            exact_layout=self.settings.exact_layout,
        )
        return Samples(hooked, contexts, plan)

    def controls_of(
        self, samples: Samples, *, folder: Path | None = None, announce: Callable[[str], None] | None = None
    ) -> Controls:
        """Return the controls of a model's samples; numbers of untrained twins are kept in `folder`."""
        from qkvcheck.claims import Controls

        s = self.settings
        return Controls(samples, seed=s.seed, untrained_seeds=s.untrained_seeds, folder=folder, announce=announce)

    def controls_beside(self, claim: Claim) -> tuple[str, ...]:
        """Return the names of the controls that a claim gets in this run."""
        from qkvcheck.claims import NAMES

        chosen = self.settings.controls
        if not claim.controls or chosen == "claim":
            return claim.controls
        extra = NAMES if chosen == "all" else tuple(chosen)
        return tuple(name for name in NAMES if name in extra or name in claim.controls)

    def baseline_path(self, run: Mapping[str, Any]) -> Path | None:
        """Return the file of recorded verdicts for a run: the one asked for, else one named after model and corpus."""
        if self.settings.baseline is not None:
            return Path(self.settings.baseline)
        if self.baselines is None:
            return None
        # One file for what can be compared; the usual corpus, number format and device are not spelled out.
        parts = [
            run["model"]["slug"],
            _file_part(run["corpus"]["name"]),
            run["settings"]["dtype"],
            run["settings"]["device"],
        ]
        return self.baselines / f"{'+'.join(part for part in parts if part not in UNSPOKEN)}.json"

    def baseline_for(self, run: Mapping[str, Any]) -> tuple[Baseline | None, str | None]:
        """Return the verdicts on record that apply to a run, or why none do.

        A project that keeps no record gets neither.

        Raises
        ------
        ClaimError
            If the file can't be read; or, where it was asked for, if it is missing or not comparable.
        """
        from qkvcheck.record import difference

        path, asked = self.baseline_path(run), self.settings.baseline is not None and self.settings.update is None
        if path is None:
            return None, None
        if not path.exists() and not asked:
            return None, f"no verdicts are on record for {run['model']['spec']}"
        baseline = self._read(path)
        reason = difference(baseline, run)
        if reason is None:
            return replace(baseline, required=asked), None
        if asked:
            raise ClaimError(
                f"baseline {str(path)!r} is not comparable with this run ({reason}); name the record of this model and "
                "corpus, or replace it with --qkv-update=all."
            )
        return None, f"{path.name} is not comparable ({reason})"

    def _read(self, path: Path) -> Baseline:
        from qkvcheck.record import read_baseline

        if path not in self._recorded:
            self._recorded[path] = read_baseline(path)
        return self._recorded[path]


def _file_part(name: str) -> str:
    """Return a corpus's name as part of a file name."""
    return "".join(c if c.isalnum() or c in ".-" else "-" for c in Path(name).name)


def describe_run(session: Session, hooked: HookedModel, contexts: ContextSet) -> dict[str, Any]:
    """Return what a result has to say of its run: model, corpus, versions, settings; plain data."""
    from qkvcheck.models import embedded_training

    seen = audit(contexts)
    return {
        "model": {
            "spec": str(hooked.spec),
            "slug": hooked.slug,
            "source": hooked.origin,
            "fingerprint": hooked.fingerprint,
            "family": hooked.layout.family,
            "layers": hooked.depth,
            "parameters": hooked.parameters,
            "stand_in": hooked.is_stand_in,
            "untrained": hooked.is_untrained,
            "training": embedded_training() if hooked.is_stand_in and not hooked.is_untrained else None,
        },
        "corpus": {
            "name": contexts.name,
            "sha256": contexts.sha256,
            "lecture": is_lecture(contexts.sha256),
            "target": contexts.target,
            "texts": [context.text for context in contexts.contexts],
            "target_indexes": [context.target_index for context in contexts.contexts],
            "contexts": seen.contexts,
            "distinct_prefixes": seen.distinct_prefixes,
            "first_words": seen.first_words,
            "positions": {str(index): count for index, count in seen.positions.items()},
            "lengths": {str(length): count for length, count in seen.lengths.items()},
            "unseen_tokens": seen.unseen_tokens,
            "padded_shape": [*seen.padded_shape, sum(part.stop - part.start for part in hooked.blocks.values())],
        },
        **_describe_settings(session, device=hooked.device.type, dtype=hooked.dtype),
    }


def describe_referee(session: Session, submission: Submission) -> dict[str, Any]:
    """Return what a result has to say of activations captured elsewhere, in the same form."""
    from qkvcheck.capture import describe_submission

    dtype = str(submission.target.values.dtype)
    return {**describe_submission(submission), **_describe_settings(session, device="unknown", dtype=dtype)}


def _describe_settings(session: Session, *, device: str, dtype: str) -> dict[str, Any]:
    settings = session.settings
    return {
        "versions": {"python": platform.python_version(), **{name: metadata.version(name) for name in LIBRARIES}},
        "settings": {
            "layers": list(session.layers),
            "device": device,
            "dtype": dtype,
            "seed": settings.seed,
            "controls": settings.controls if isinstance(settings.controls, str) else list(settings.controls),
            "clusters": settings.clusters,
            "claims_sha256": session.claims.sha256 if session.claims else None,
        },
    }
