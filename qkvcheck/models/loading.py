"""Models: what `--qkv-model` may say, and how that becomes a loaded model with tokenizer and fingerprint."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qkvcheck.errors import CaptureError, ModelError, first_line, shown
from qkvcheck.models.architecture import Architecture, architecture_of
from qkvcheck.models.directory import bounded, bounded_by_count, check_directory, read_config
from qkvcheck.models.gguf.converted import naming_gguf
from qkvcheck.models.hooked import HookedModel as HookedModel  # where it always was
from qkvcheck.models.hub import Announce
from qkvcheck.models.locating import KNOWN_CONFIGS, is_known, locate
from qkvcheck.models.locating import embedded_directory as embedded_directory  # the tests take it from here
from qkvcheck.models.spec import ModelSpec, parse_spec
from qkvcheck.models.structure import found_architecture, loader_for, parse_layout
from qkvcheck.models.tiny import is_family, shrunk, usual_config
from qkvcheck.models.tokenizers import PretrainedEncoder, check_fits, load_encoder, rows_of
from qkvcheck.models.tokens.special import special_tokens_of
from qkvcheck.models.weights.drawn import Drawn, draw, drawable_in_part
from qkvcheck.models.weights.files import headers_of, load_weights, refuse_pickles, without_weights
from qkvcheck.models.weights.held import Files, Held, readable_in_part, stamp_of

if TYPE_CHECKING:
    import torch

DTYPES = ("float32", "float64", "bfloat16", "float16")


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
    config: Any
    if resolved.untrained_seed is not None:
        config = config_of(resolved, directory, trust=how.trust)
        architecture, seed, dtype = planned_architecture(config), resolved.untrained_seed, torch_dtype(how.dtype)
        if how.trust or how.layout is not None:
            model = draw(config, architecture, seed=seed, trust_remote_code=how.trust)
            held = Held(model.to(device=how.place, dtype=dtype).eval())
        else:
            held = _untrained(config, architecture, seed=seed, dtype=dtype, device=how.place)
        origin = f"{origin}, weights drawn under seed {seed}"
    else:
        assert directory is not None  # only an untrained model has no directory
        refuse_pickles(directory)
        headers_of(directory)  # raises where a file is not whole
        config = config_of(resolved, directory, trust=how.trust)
        held = _held(directory, config, how)
    return _assembled(held, resolved, directory, origin, how)


def _held(directory: Path, config: Any, how: _How) -> Held:
    """Return the weights of a directory: read when they are asked for, layer by layer, where its family allows it."""
    architecture, dtype = planned_architecture(config), torch_dtype(how.dtype)
    outline = None
    if how.layout is None and not how.trust:
        outline = readable_in_part(directory, config, architecture)
    if outline is not None:
        return Held(outline, Files(directory, config, architecture, dtype, how.place, stamp_of(directory)))
    model = load_weights(directory, config, architecture=architecture, dtype=dtype, trust_remote_code=how.trust)
    return Held(model.to(device=how.place, dtype=dtype).eval())


def _assembled(held: Held, resolved: ModelSpec, directory: Path | None, origin: str, how: _How) -> HookedModel:
    """Put a model's weights, tokenizer and architecture together."""
    known = (is_known(resolved.source) or resolved.tiny) and directory is None
    encoder = load_encoder(
        directory,
        named=how.tokenizer,
        source=resolved.source,
        gpt2=known,
        trust_remote_code=how.trust,
        rows=rows_of(held.outline),
    )
    architecture, found = _settled(held.outline, how.layout)
    files = directory if how.tokenizer is None else Path(how.tokenizer).expanduser()
    special = special_tokens_of(encoder, architecture, asked=how.bos, directory=files)
    return HookedModel(held, encoder, architecture, resolved, f"{origin}{found}", special)


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
    return HookedModel(Held(model), encoder, architecture, ModelSpec(name), f"given in memory{how}", special)


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
    held = hooked.held
    drawn = _untrained(
        hooked.config, hooked.architecture, seed=seed, dtype=held.dtype, device=held.device, outline=held.outline
    )
    spec = replace(hooked.spec, untrained_seed=seed)
    return HookedModel(drawn, hooked.encoder, hooked.architecture, spec, f"untrained twin, seed {seed}", hooked.special)


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


def _untrained(
    config: Any, architecture: Architecture, *, seed: int, dtype: Any, device: Any, outline: Any = None
) -> Held:
    """Return the weights of an untrained network, drawn when they are asked for where its family allows it."""
    source = Drawn(config, architecture, seed, dtype, device)
    if not drawable_in_part(config, architecture):
        return Held(source.read(None))
    return Held(outline if outline is not None else without_weights(config, architecture), source)


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


def torch_dtype(name: str) -> Any:
    """Return a number format of torch by its name."""
    import torch

    return getattr(torch, name)
