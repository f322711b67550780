"""Models: what `--qkv-model` may say, and how that becomes a loaded model with tokenizer and fingerprint."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qkvcheck.errors import CaptureError, ModelError, first_line, shown
from qkvcheck.files import file_part
from qkvcheck.models.architecture import Architecture, Position, architecture_of, rope_of, told_of
from qkvcheck.models.directory import bounded, bounded_by_count, check_directory, read_config
from qkvcheck.models.gguf.converted import naming_gguf
from qkvcheck.models.gguf.fetched import SMOLLM2
from qkvcheck.models.hub import Announce
from qkvcheck.models.locating import EMBEDDED, KNOWN_CONFIGS, is_known, locate
from qkvcheck.models.locating import embedded_directory as embedded_directory  # the tests take it from here
from qkvcheck.models.spec import ModelSpec, parse_spec
from qkvcheck.models.structure import found_architecture, loader_for, parse_layout
from qkvcheck.models.tiny import is_family, shrunk, usual_config
from qkvcheck.models.tokenizers import PretrainedEncoder, RecordedEncoder, check_fits, load_encoder, rows_of
from qkvcheck.models.tokens.special import SpecialTokens, special_tokens_of
from qkvcheck.models.weights import headers_of, libraries_unfit, load_weights, loader_of, refuse_pickles

if TYPE_CHECKING:
    import torch

DTYPES = ("float32", "float64", "bfloat16", "float16")

_STAND_INS = {EMBEDDED: "the stand-in", SMOLLM2.name: "SmolLM2-135M"}


@dataclass(frozen=True, repr=False)
class HookedModel:
    """A loaded model that can be captured from.

    Attributes
    ----------
    model : transformers.PreTrainedModel
        The network; left as it was found.
    encoder : PretrainedEncoder or RecordedEncoder
        Its tokenizer.
    architecture : Architecture
        Where its family keeps Q, K and V.
    spec : ModelSpec
        What was asked for, with `auto` resolved.
    origin : str
        Where it came from, and why, for a person.
    special : SpecialTokens
        What stands before and after every context.

    Examples
    --------
    >>> load_model("embedded")
    HookedModel(embedded: gpt2, 12 layers, float32 on cpu)
    """

    model: Any
    encoder: PretrainedEncoder | RecordedEncoder
    architecture: Architecture
    spec: ModelSpec
    origin: str
    special: SpecialTokens = field(default_factory=SpecialTokens)

    def __repr__(self) -> str:
        return (
            f"HookedModel({self.spec}: {self.architecture.family}, {self.depth} layers, {self.dtype} on {self.device})"
        )

    @property
    def depth(self) -> int:
        """Number of layers."""
        return self.architecture.depth(self.model)

    @property
    def projections(self) -> dict[str, slice]:
        """Where Q, K and V stand when they are put one after the other."""
        return self.architecture.heads(self.model.config).projections

    @property
    def heads(self) -> dict[str, int]:
        """Number of heads of Q, K and V; with grouped queries K and V have fewer."""
        return self.architecture.heads(self.model.config).counts

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        device: torch.device = next(self.model.parameters()).device
        return device

    @property
    def dtype(self) -> str:
        """Number format of the weights, such as ``float32``."""
        return str(next(self.model.parameters()).dtype).removeprefix("torch.")

    @property
    def parameters(self) -> int:
        """Number of parameters, shared ones counted once."""
        return sum(p.numel() for p in self.model.parameters())

    @property
    def is_stand_in(self) -> bool:
        """Whether this is a model that stands in for GPT-2 small where that is not at hand."""
        return self.spec.source in _STAND_INS

    @property
    def called(self) -> str:
        """What verdicts call it, such as ``"the stand-in"``; empty for a model that somebody named."""
        return _STAND_INS.get(self.spec.source, "")

    @property
    def is_untrained(self) -> bool:
        """Whether the weights are freshly initialised."""
        return self.spec.untrained_seed is not None

    @property
    def slug(self) -> str:
        """Name for files: letters, digits, dots and hyphens."""
        path = Path(self.spec.source)
        name = path.name if path.exists() else self.spec.source
        text = str(replace(self.spec, source=name))
        return file_part(text)

    @cached_property
    def fingerprint(self) -> str:
        """Sha256 over parameters (name, shape, bytes), listed configuration fields, and the tokenizer.

        Buffers are left out, and so is the rest of the configuration: 35 of its keys differ between
        transformers 4.57 and 5.23 for the same model.
        """
        return _fingerprint(self)


def load_model(
    spec: str | ModelSpec,
    *,
    tokenizer: str | None = None,
    device: str = "cpu",
    dtype: str = "float32",
    trust_remote_code: bool = False,
    bos: str = "auto",
    announce: Announce | None = None,
    layout: str | None = None,
) -> HookedModel:
    """Load a model, its tokenizer and its architecture.

    Parameters
    ----------
    spec : str or ModelSpec
        What to load; see `parse_spec`.
    tokenizer : str, optional
        Directory of a tokenizer to use instead of the model's own. For GPT-2 models without one,
        the environment's ``QKV_GPT2_TOKENIZER`` is the default.
    device : str
        A torch device, such as ``cpu`` or ``cuda:0``.
    dtype : str
        One of `DTYPES`.
    trust_remote_code : bool
        Whether code that comes with a model may run.
    bos : {"auto", "yes", "no"}
        Whether a beginning token stands before every context; ``auto``: as the model's own files have it.
    announce : callable, optional
        Told of a download's progress, about once a second.
    layout : str, optional
        Where queries, keys and values are, for a model whose family is not known; see `parse_layout`.

    Raises
    ------
    ModelError
        If the model can't be had or is not whole, or the installed transformers refuses the installed torch.

    Examples
    --------
    >>> hooked = load_model("embedded#untrained=3")
    >>> hooked.depth, hooked.is_untrained, hooked.projections["K"]
    (12, True, slice(128, 256, None))
    """
    asked = parse_spec(spec) if isinstance(spec, str) else spec
    obstacle = torch_obstacle()
    if obstacle is not None:
        raise ModelError(f"{obstacle}. Install a newer torch or an older transformers.")
    told = None if layout is None else parse_layout(layout)
    place = _check_device(device)
    if dtype not in DTYPES:
        raise ModelError(f"dtype {dtype!r} is not known; allowed: {', '.join(DTYPES)}. Check --qkv-dtype.")
    resolved, directory, origin = locate(asked, tokenizer is None, announce)
    if asked.tiny:
        origin = f"{origin}, shrunk"
    with naming_gguf(directory):
        return _load(resolved, directory, origin, _How(tokenizer, place, dtype, trust_remote_code, bos, told))


@dataclass(frozen=True)
class _How:
    """How a model is loaded, as `load_model` takes it."""

    tokenizer: str | None
    place: torch.device
    dtype: str
    trust: bool
    bos: str
    layout: Architecture | None


def _load(resolved: ModelSpec, directory: Path | None, origin: str, how: _How) -> HookedModel:
    """Load what was located."""
    if resolved.untrained_seed is not None:
        config = config_of(resolved, directory, trust=how.trust)
        model = _initialise(config, planned_architecture(config), seed=resolved.untrained_seed, trust=how.trust)
        origin = f"{origin}, weights drawn under seed {resolved.untrained_seed}"
    else:
        assert directory is not None  # only an untrained model has no directory
        refuse_pickles(directory)
        headers_of(directory)  # raises where a file is not whole
        config = config_of(resolved, directory, trust=how.trust)
        model = load_weights(
            directory,
            config,
            architecture=planned_architecture(config),
            dtype=_torch_dtype(how.dtype),
            trust_remote_code=how.trust,
        )
    model = model.to(device=how.place, dtype=_torch_dtype(how.dtype)).eval()
    known = (is_known(resolved.source) or resolved.tiny) and directory is None
    encoder = load_encoder(
        directory,
        named=how.tokenizer,
        source=resolved.source,
        gpt2=known,
        trust_remote_code=how.trust,
        rows=rows_of(model),
    )
    architecture, found = _settled(model, how.layout)
    files = directory if how.tokenizer is None else Path(how.tokenizer).expanduser()
    special = special_tokens_of(encoder, architecture, asked=how.bos, directory=files)
    return HookedModel(model, encoder, architecture, resolved, f"{origin}{found}", special)


def from_model(
    model: Any, tokenizer: Any, *, name: str = "in memory", bos: str = "auto", layout: str | None = None
) -> HookedModel:
    """Wrap a model and tokenizer that are already in memory.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        Left as it is found.
    tokenizer : transformers.PreTrainedTokenizerBase
        Its tokenizer.
    name : str
        How to name it in reports.
    bos : {"auto", "yes", "no"}
        Whether a beginning token stands before every context; ``auto``: as the family needs, or the tokenizer does.
    layout : str, optional
        Where queries, keys and values are, for a model whose family is not known; see `parse_layout`.

    Examples
    --------
    >>> from transformers import AutoTokenizer
    >>> tokenizer = AutoTokenizer.from_pretrained(embedded_directory())
    >>> from_model(load_model("embedded").model, tokenizer, name="mine").spec.source
    'mine'
    """
    encoder = PretrainedEncoder(tokenizer, name=name)
    check_fits(encoder, rows_of(model))
    architecture, how = _settled(model, None if layout is None else parse_layout(layout))
    special = special_tokens_of(encoder, architecture, asked=bos)
    return HookedModel(model, encoder, architecture, ModelSpec(name), f"given in memory{how}", special)


def untrained_twin(hooked: HookedModel, *, seed: int = 0) -> HookedModel:
    """Return a model of the same configuration and tokenizer with freshly drawn weights.

    If `hooked` is itself untrained under that seed, the next seed is taken.

    Examples
    --------
    >>> untrained_twin(load_model("embedded"), seed=1)
    HookedModel(embedded#untrained=1: gpt2, 12 layers, float32 on cpu)
    """
    if hooked.spec.untrained_seed == seed:
        seed += 1
    model = _initialise(hooked.model.config, hooked.architecture, seed=seed)
    model = model.to(device=hooked.device, dtype=next(hooked.model.parameters()).dtype).eval()
    spec = replace(hooked.spec, untrained_seed=seed)
    return HookedModel(model, hooked.encoder, hooked.architecture, spec, f"untrained twin, seed {seed}", hooked.special)


def torch_obstacle() -> str | None:
    """Return why the installed transformers can't use the installed torch, or None if it can.

    transformers names torch in an extra alone, so pip installs the two side by side whatever their versions are.
    """
    from transformers.utils import is_torch_available

    if is_torch_available():
        return None
    extras = [text.partition(";") for text in metadata.requires("transformers") or ()]
    needed = [name.strip() for name, _, extra in extras if name.startswith("torch>") and '"torch"' in extra]
    versions = [f"{name} {metadata.version(name)}" for name in ("transformers", "torch")]
    return f"{versions[0]} can't use {versions[1]}: it needs {needed[0] if needed else 'another one'}"


def config_of(resolved: ModelSpec, directory: Path | None, *, trust: bool) -> Any:
    """Return the configuration of a model that was located; with no directory that of a family, or of a GPT-2."""
    from transformers import AutoConfig, GPT2Config

    if directory is None and resolved.tiny and is_family(resolved.source):
        return shrunk(usual_config(resolved.source))
    if directory is None:
        known = GPT2Config(**KNOWN_CONFIGS[resolved.source.removeprefix("openai-community/")])
        return shrunk(known) if resolved.tiny else known
    check_directory(directory)
    told = read_config(directory)
    try:
        config = AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=trust)
    except Exception as error:  # it raises what it likes
        raise ModelError(
            f"model directory {shown(str(directory))} has no usable config.json ({first_line(error)}); "
            "give a directory written by save_pretrained."
        ) from None
    _turn_as_told(directory, told.get("rope_parameters"), config)
    if resolved.tiny:
        return shrunk(config)
    bounded(directory, config)
    architecture = planned_architecture(config)
    if architecture.schema is None and not trust:  # code that comes with a model may name anything
        bounded_by_count(directory, config, architecture)
    return config


def _turn_as_told(directory: Path, told: object, config: Any) -> None:
    """Let a release that does not know ``rope_parameters`` turn queries and keys as config.json says.

    transformers 5 writes these; transformers 4 does not look at them, and turns by its own default without a word.

    Raises
    ------
    ModelError
        If config.json says what the older release can't be told.
    """
    if not isinstance(told, dict) or int(metadata.version("transformers").partition(".")[0]) >= 5:
        return
    if any(isinstance(value, dict) for value in told.values()) or "rope_theta" not in told:
        raise ModelError(
            f"model directory {shown(str(directory))} has rope_parameters that transformers "
            f"{metadata.version('transformers')} does not know, and would turn otherwise; install transformers 5."
        )
    rest = {name: value for name, value in told.items() if name not in ("rope_theta", "partial_rotary_factor")}
    config.rope_theta = told["rope_theta"]
    if "partial_rotary_factor" in told:
        config.partial_rotary_factor = told["partial_rotary_factor"]
    config.rope_scaling = None if rest.get("rope_type", "default") == "default" else rest
    del config.rope_parameters


def planned_architecture(config: Any) -> Architecture:
    """Return the architecture of a family, or, of one that is not known, as what it is loaded."""
    try:
        return architecture_of(config)
    except CaptureError:
        return Architecture(str(getattr(config, "model_type", "unknown")), loader=loader_for(config))


def _settled(model: Any, told: Architecture | None) -> tuple[Architecture, str]:
    """Return the architecture of a loaded model, and in words how it was found if its family is not known."""
    if told is None:
        try:
            known = architecture_of(model.config)
        except CaptureError:
            pass
        else:
            _check_heads(known, model.config)
            return known, ""
    found = replace(found_architecture(model, told), loader=planned_architecture(model.config).loader)
    return found, f"; layout {'found by structure' if told is None else 'as told, proven'}: {found}"


def _check_heads(architecture: Architecture, config: Any) -> None:
    """Refuse a configuration whose query heads can't share its key heads evenly: its forward would break."""
    heads = architecture.heads(config)
    if heads.key < 1 or heads.query % heads.key:
        raise ModelError(
            f"the configuration names {heads.query} query heads and {heads.key} key heads, which don't go into them "
            "evenly; correct config.json."
        )


def _initialise(config: Any, architecture: Architecture, *, seed: int, trust: bool = False) -> Any:
    """Draw fresh weights with the library's own initialiser; torch's global generator is left as it was."""
    import torch

    loader = loader_of(architecture)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            return loader.from_config(config, trust_remote_code=trust)
        except ImportError as error:
            raise libraries_unfit(error) from None
        except Exception as error:  # it raises what it likes
            raise ModelError(
                f"no model can be made of the configuration ({first_line(error)}); correct config.json."
            ) from None


def _check_device(device: str) -> torch.device:
    import torch

    try:
        place = torch.device(device)
    except RuntimeError:
        raise ModelError(
            f"device {device!r} is not known; allowed are cpu, cuda, cuda:0, mps. Check --qkv-device."
        ) from None
    usable = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not usable.get(place.type, False):
        raise ModelError(f"device {device!r} is not available here; choose another, such as cpu, with --qkv-device.")
    if place.type == "cuda" and place.index is not None and place.index >= torch.cuda.device_count():
        raise ModelError(
            f"device {device!r} does not exist; there are {torch.cuda.device_count()} cuda devices. Check --qkv-device."
        )
    return place


def _torch_dtype(name: str) -> Any:
    import torch

    return getattr(torch, name)


def _named_parameters(model: Any) -> dict[str, torch.Tensor]:
    """Return every parameter by its name; that of a head of its own changes between releases, and is always one."""
    tied = getattr(model.get_input_embeddings(), "weight", None)
    head = getattr(model.get_output_embeddings(), "weight", None)
    own = head is not None and head is not tied
    return {("lm_head.weight" if own and one is head else name): one for name, one in model.named_parameters()}


def _fingerprint(hooked: HookedModel) -> str:
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(_named_parameters(hooked.model).items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    config = hooked.model.config
    fields = {name: told_of(config, name) for name in hooked.architecture.fingerprint_fields}
    heads = hooked.architecture.heads(config)
    for name, number in (("num_key_value_heads", heads.key), ("head_dim", heads.width)):
        if name in fields and fields[name] is None:  # one release writes down what the other leaves to be worked out
            fields[name] = number
    if hooked.architecture.position_of(config) is Position.ROTARY:
        fields["rope"] = rope_of(config)
    digest.update(json.dumps(fields, sort_keys=True).encode())
    digest.update(hooked.encoder.fingerprint().encode())
    return digest.hexdigest()
