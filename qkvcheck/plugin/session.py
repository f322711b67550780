"""Session: one run's model, contexts, samples and controls, made from its settings when first asked for.

A session is made in every pytest that has this plugin, so what is heavy is imported where it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING

from qkvcheck.claims import DEFAULT_LAYER, Claim, ClaimsFile
from qkvcheck.contexts import ContextSet, Corpus, encode_corpus, read_corpus, resolve_tokens
from qkvcheck.errors import ClaimError, QkvcheckError, SettingsError, shown
from qkvcheck.files import file_part, is_there
from qkvcheck.groups import ALL_HEADS, Capture, Layers, head_count, heads_text
from qkvcheck.settings import Settings

if TYPE_CHECKING:
    from qkvcheck.capture import FileSource, Plan, Samples
    from qkvcheck.claims import Controls
    from qkvcheck.models import HookedModel
    from qkvcheck.record import Baseline, Run

UNSPOKEN = ("replication", "float32", "cpu")
USUAL_TARGET = " her"


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
    files : sequence of Path
        What was read for the two: claims files and the ini file.
    """

    def __init__(
        self,
        settings: Settings,
        claims: ClaimsFile | None,
        *,
        baselines: Path | None = None,
        files: Sequence[Path] = (),
    ) -> None:
        self.settings = settings
        self.claims = claims
        self.baselines = baselines
        self.files = tuple(files)
        self._announce: Callable[[str], None] | None = None
        self._recorded: dict[Path, Baseline] = {}
        self._near: dict[Path, str | None] = {}
        self.checkpoints: dict[Path, Baseline] = {}
        """Files of other weights that were read (`qkvcheck.plugin.run_files`)."""

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers asked for, else those of the claims file, else layer 6 (zero-based)."""
        asked = self.settings.layers
        if self.file is not None:
            held = self.file.layers
            return tuple(layer for layer in (held if asked is None else self._at(asked)) if layer in held)
        if asked is not None:
            return self._at(asked)
        return self.claims.at_depth(self.depth).layers if self.claims else (DEFAULT_LAYER,)

    def _at(self, asked: Layers) -> tuple[int, ...]:
        if not asked.shares:
            return asked.numbers
        if self.depth is None:
            where = self.settings.model if self.file is None else self.file.name
            raise SettingsError(f"--qkv-layers: how deep {shown(where)} is is not known; give layers by number.")
        return asked.at(self.depth)

    @property
    def deciding_layer(self) -> int | None:
        """The layer at which the claims file's claims are decided."""
        return self.claims.at_depth(self.depth).layer if self.claims else None

    @property
    def depth_text(self) -> str:
        """Why another layer decides than the one that the claims file names; empty where none does."""
        file = self.claims
        if file is None or file.layer == self.deciding_layer or self.settings.layers is not None:
            return ""
        return f"; {self.deciding_layer} decides, as deep in {self.depth} layers as {file.layer} in {file.of_layers}"

    @cached_property
    def depth(self) -> int | None:
        """Number of layers of what is judged, where something hangs on it; None where it is not known.

        Tests are made before any model is loaded: its configuration tells. What is wrong with it is told by `prepare`.
        """
        relative = self.claims is not None and self.claims.of_layers is not None
        if not relative and not (self.settings.layers is not None and self.settings.layers.shares):
            return None
        if self.settings.activations is not None:
            return None if self.file is None else self.file.depth
        from qkvcheck.models import depth_of

        try:
            return depth_of(self.settings.model)
        except QkvcheckError:
            return None

    def check_depth(self, hooked: HookedModel) -> None:
        """Raise `SettingsError` where layers were worked out for a model of another depth than this one."""
        asked = self.settings.layers
        hangs = self.claims is not None and self.claims.of_layers is not None if asked is None else bool(asked.shares)
        if hangs and self.depth not in (None, hooked.depth):
            raise SettingsError(
                f"layers {', '.join(map(str, self.layers))} were worked out for {self.settings.model}, of "
                f"{self.depth} layers, and qkv_model gives {hooked.spec}, of {hooked.depth}; give numbers with "
                "--qkv-layers."
            )

    def prepare(
        self,
        layers: Iterable[int] = (),
        *,
        heads: Iterable[int] = (),
        every_layer: bool = False,
        announce: Callable[[str], None] | None = None,
    ) -> None:
        """Load what was asked for, so that a mistake shows before the first experiment.

        Parameters
        ----------
        layers : iterable of int
            Further zero-based layers that experiments ask for.
        heads : iterable of int
            Zero-based heads that experiments ask for.
        every_layer : bool
            Whether an experiment looks at every layer: the weights of all are then read at once.
        announce : callable, optional
            Told of a download's progress.

        Raises
        ------
        QkvcheckError
            If a setting, the corpus or the model can't be used.
        """
        from qkvcheck.capture import check_layers, check_layout

        self._announce = announce
        if self.file is not None:
            if self.settings.limit is not None:
                raise SettingsError(
                    f"--qkv-limit {self.settings.limit} takes the first contexts of a corpus, and {self.file.name} "
                    "holds activations, which are judged whole; leave it out, or write fewer contexts into the file."
                )
            missing = sorted(set(layers) - set(self.file.layers))
            if missing:
                raise SettingsError(
                    f"{self.file.name} holds no layer {missing[0]} (zero-based), which an experiment names; it "
                    f"holds {', '.join(map(str, self.file.layers))}."
                )
            self._check_heads(self.file.target.heads, heads, of=self.file.name)
            return
        if self.settings.strict and self.settings.model == "auto" and self.hooked.is_stand_in:
            raise SettingsError(
                f"--qkv-strict: auto would fall back to {self.hooked.spec}, a stand-in; name a model with --qkv-model "
                "(gpt2 fetches the paper's, embedded takes the stand-in)."
            )
        _ = self.corpus  # the cheap mistakes first
        if self.settings.baseline is not None and self.settings.update is None:
            self.recorded_at(Path(self.settings.baseline))
        asked = sorted({*self.layers, *layers})
        check_layers(self.hooked, asked)
        self._check_heads(self.hooked.heads, heads, of=str(self.hooked.spec))
        every = self.every_contexts(self.hooked)  # a tokenizer is enough, so before weights are read
        check_layout(self.hooked.reaching(self.hooked.depth - 1 if every_layer else asked[-1]))
        named = self.settings.baseline if self.settings.update is None else None
        if named is not None or self.settings.compare is not None:
            from qkvcheck.plugin.description import describe_model_run
            from qkvcheck.plugin.run_files import check_not_replaced, checkpoint_of

            run = describe_model_run(self, self.hooked, every[0])  # files are named for one target alone
            if named is not None:
                self.baseline_for(run)
            check_not_replaced(self, run)
            checkpoint_of(self, run)

    def _check_heads(self, heads: Mapping[str, int], asked: Iterable[int], *, of: str) -> None:
        """Raise `SettingsError` for a head that is not there, or where it is not known which are there."""
        named, count = self.settings.heads, head_count(heads)
        if named is not None and not count:
            raise SettingsError(
                f"--qkv-heads {heads_text(named)}: how many heads Q, K and V of {of} have is not known; leave it "
                "out, or let a file of activations say it in heads (docs/referee.md)."
            )
        absent = [head for head in sorted({*asked, *(named or () if named != ALL_HEADS else ())}) if head >= count]
        if absent and count:
            raise SettingsError(
                f"head {absent[0]} does not exist in {of}; allowed are 0 to {count - 1} (heads count from 0). Check "
                "--qkv-heads and the heads of claims."
            )

    @cached_property
    def file(self) -> FileSource | None:
        """The activations captured elsewhere that are to be judged, if any were named."""
        if self.settings.activations is None:
            return None
        from qkvcheck.capture import read_submission
        from qkvcheck.claims import Words

        words = self.claims.words if self.claims else Words()
        return read_submission(self.settings.activations, words=words.lists())

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
            bos=s.bos,
            announce=self._announce,
            layout=s.layout,
        )

    def contexts_for(self, hooked: HookedModel, target: str | int | None = None) -> ContextSet:
        """Return the corpus that the settings name, tokenised for a model.

        Parameters
        ----------
        hooked : HookedModel
            The model.
        target : str or int, optional
            Which of several targets; the sentences that hold it are taken.

        Raises
        ------
        QkvcheckError
            If the target is no token or is not there; or if several were asked for, and none or one of them twice.
        """
        asked = self.settings.targets
        if len(asked) == 1:
            return encode_corpus(self.corpus, hooked.encoder, target=asked[0])
        if target is None:
            raise SettingsError(
                f"--qkv-target names {len(asked)} targets, and this test has contexts of which it does not say so: let "
                "it, or its own contexts, take the fixture contexts by name, or name one target."
            )
        numbers = [resolve_tokens(one, hooked.encoder)[1] for one in asked]
        twice = [repr(one) for one, number in zip(asked, numbers, strict=True) if numbers.count(number) > 1]
        if twice:
            raise SettingsError(
                f"--qkv-target names one target of {hooked.encoder.name} twice, by {' and by '.join(twice)}; name it "
                "once."
            )
        return encode_corpus(self.corpus, hooked.encoder, target=target, holding=True)

    def every_contexts(self, hooked: HookedModel) -> list[ContextSet]:
        """Return the contexts of every target that was asked for."""
        return [self.contexts_for(hooked, target) for target in self.settings.targets]

    @cached_property
    def corpus(self) -> Corpus:
        """The sentences that the settings name, before any tokenizer sees them."""
        return read_corpus(self.settings.corpus).first(self.settings.limit)

    def samples_of(self, hooked: HookedModel, contexts: ContextSet, *, layers: Iterable[int] = ()) -> Samples:
        """Return what experiments measure of a model, at the session's layers and any further ones."""
        from qkvcheck.capture import Samples

        self.check_depth(hooked)
        return Samples(hooked, contexts, self.plan(layers))

    def plan(self, layers: Iterable[int] = ()) -> Plan:
        """Return how a model is sampled, at the session's layers and any further ones."""
        from qkvcheck.capture import Plan
        from qkvcheck.claims import Fresh, Words

        words, fresh = (self.claims.words, self.claims.fresh) if self.claims else (Words(), Fresh())
        return Plan(
            layers=tuple(sorted({*self.layers, *layers})),
            words=words.lists(),
            fresh_count=fresh.count,
            fresh_seed=fresh.seed,
            clusters=self.settings.clusters,
            batch_size=self.settings.batch_size,
            exact_layout=self.settings.exact_layout,
        )

    def controls_of(
        self,
        samples: Samples,
        *,
        folder: Path | None = None,
        announce: Callable[[str], None] | None = None,
        claims: Callable[[], Iterable[Claim]] = tuple,
    ) -> Controls:
        """Return the controls of a model's samples; numbers of untrained twins are kept in `folder`.

        `claims` returns those that the run judges: what they are measured on is captured of each twin when it is drawn.
        """
        from qkvcheck.claims import Controls

        s = self.settings
        return Controls(
            samples,
            seed=s.seed,
            untrained_seeds=s.untrained_seeds,
            folder=folder,
            announce=announce,
            ahead=lambda: self._held_against_twins(claims()),
        )

    def _held_against_twins(self, claims: Iterable[Claim]) -> set[Capture]:
        """Return what claims are measured on that are held against untrained networks in this run."""
        from qkvcheck.claims import Kind, captured_for, seed_controls

        networks = set(seed_controls())
        return {
            captured_for(claim)
            for claim in claims
            if claim.kind not in (Kind.EXACT, Kind.SEARCH) and networks & {*self.controls_of_claim(claim)}
        }

    def controls_of_claim(self, claim: Claim) -> tuple[str, ...]:
        """Return the names of the controls that a claim gets in this run."""
        from qkvcheck.claims import controls_by_name

        chosen = self.settings.controls
        if not claim.controls or chosen == "claim":
            return claim.controls
        every = tuple(controls_by_name())
        extra = every if chosen == "all" else tuple(chosen)
        return tuple(name for name in every if name in extra or name in claim.controls)

    def check_names(self, claims: Iterable[Claim]) -> None:
        """Raise `QkvcheckError` unless every statistic and control that claims or options name is known."""
        from qkvcheck.claims import check_known, control_named

        for claim in claims:
            check_known(claim)
        for name in self.settings.controls if not isinstance(self.settings.controls, str) else ():
            try:
                control_named(name)
            except ClaimError as error:
                raise SettingsError(f"--qkv-controls: {error}") from None

    def baseline_path(self, run: Run) -> Path | None:
        """Return the file of recorded verdicts for a run: the one asked for, else one named after model and corpus."""
        if self.settings.baseline is not None:
            return Path(self.settings.baseline)
        if self.baselines is None:
            return None
        # One file for what can be compared; the usual corpus, number format and device are not spelled out.
        return (
            self.baselines / f"{_spoken(*_measured_on(run), run.settings.dtype, run.settings.device or 'unknown')}.json"
        )

    def baseline_for(self, run: Run) -> tuple[Baseline | None, str | None]:
        """Return the verdicts on record that apply to a run, or why none do.

        A project that keeps no record gets neither.

        Raises
        ------
        ClaimError
            If the file can't be read; or, where it was asked for, if it is missing or not comparable.
        """
        from qkvcheck.record import difference, near_record

        path, asked = self.baseline_path(run), self.settings.baseline is not None and self.settings.update is None
        if path is None:
            return None, None
        if not is_there(path) and not asked:
            if path not in self._near:
                self._near[path] = near_record(
                    sorted(path.parent.glob(f"{escape(_spoken(*_measured_on(run)))}*.json")), run
                )
            near = self._near[path]
            return None, f"no verdicts are on record for {run.named}{'' if near is None else f'; {near}'}"
        baseline = self.recorded_at(path)
        reason = difference(baseline, run)
        if reason is None:
            strict = self.settings.require_baseline and self.settings.update is None
            return replace(baseline, required=asked or strict), None
        if asked:
            raise ClaimError(
                f"baseline {str(path)!r} is not comparable with this run ({reason}); name the record of this model and "
                "corpus, or replace it with --qkv-update=all."
            )
        return None, f"{path.name} is not comparable ({reason})"

    def recorded_at(self, path: Path) -> Baseline:
        """Return the verdicts in a file, which is read once."""
        from qkvcheck.record import read_baseline

        if path not in self._recorded:
            self._recorded[path] = read_baseline(path)
        return self._recorded[path]


def _measured_on(run: Run) -> tuple[str, str, str]:
    """Return model, corpus and target as parts of the name of a record."""
    target = UNSPOKEN[0] if run.corpus.target in (None, USUAL_TARGET) else target_part(run)
    return file_part(Path(run.origin.slug).name), file_part(Path(run.corpus.name).name), target


def _spoken(*parts: str) -> str:
    return "+".join(part for part in parts if part not in UNSPOKEN)


def target_part(run: Run) -> str:
    """Return the target as part of a file name: its text, which may hold anything, and its id."""
    corpus = run.corpus
    ids = [corpus.target_id] if corpus.target_ids is None else corpus.target_ids
    return "-".join([file_part(Path((corpus.target or "").strip()).name) or "target", *map(str, ids)])
