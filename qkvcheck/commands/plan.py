"""``qkvcheck plan``: what a run would take, from a model's configuration alone: no weight is loaded."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from typing import Any

from qkvcheck.commands.options import add_options

_WORDS = 9
"""Words that each context is continued with, as the claims of the paper have it."""
_SIZE, _TURNS = 768, 8


@dataclass(frozen=True)
class RunPlan:
    """What a run would take.

    Attributes
    ----------
    model, family : str
        What was asked for, and its family.
    layers, parameters : int
        Of the model.
    heads : dict of str to int
        Of Q, K and V.
    width : int
        Of Q, K and V together.
    weight_bytes : int
        Of the weights in the number format asked for.
    memory_bytes : int
        Of this machine.
    contexts, positions : int
        Of the corpus: how many, and how many token positions one capture of them computes at most.
    capture_bytes : int
        What a capture of the target at every layer holds.
    twins : int
        Untrained networks that are drawn, unless their numbers are kept already.
    seconds : float
        At most: an estimate of all forward passes, from a product of matrices timed here; judging comes on top.
    """

    model: str
    family: str
    layers: int
    parameters: int
    heads: dict[str, int]
    width: int
    weight_bytes: int
    memory_bytes: int
    contexts: int
    positions: int
    capture_bytes: int
    twins: int
    seconds: float


def add(commands: Any) -> None:
    """Add the command and its options."""
    plan = commands.add_parser(
        "plan",
        help="tell what a run would take, before anything is loaded",
        description="Tell memory and time of a run from a model's configuration alone: no weight is downloaded or "
        "loaded. Of a corpus that is no file of sentences the built-in ones are known.",
        epilog="example: qkvcheck plan --model gpt2-xl --corpus replication",
    )
    add_options(plan, "model", "corpus", "limit", "dtype", "untrained-seeds")
    plan.add_argument("--json", action="store_true", help="print one JSON object instead")
    plan.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status."""
    plan = plan_of(
        options.model,
        corpus=options.corpus,
        limit=options.limit,
        dtype=options.dtype,
        untrained_seeds=options.untrained_seeds,
    )
    if options.json:
        print(json.dumps({"schema": "qkvcheck/plan/1", **asdict(plan)}, indent=1))
    else:
        print("\n".join(plan_lines(plan)))
    return 0


def plan_of(
    model: str, *, corpus: str, dtype: str, limit: int | None = None, untrained_seeds: int | None = None
) -> RunPlan:
    """Return what a run would take.

    Parameters
    ----------
    model, corpus, dtype : str
        As the options of pytest take them.
    limit : int, optional
        Of the contexts; without it all of the corpus.
    untrained_seeds : int, optional
        Untrained twins; without it as many as a run takes.
    """
    from qkvcheck.claims import default_seeds
    from qkvcheck.contexts import read_corpus
    from qkvcheck.models import memory_bytes, outline_of

    lines = read_corpus(corpus).first(limit).lines
    outline = outline_of(model, dtype=dtype)
    # A token holds a letter at least, and in the corpora that ship about five: no tokenizer is loaded for this.
    positions = sum(len(line.text) // 4 + 2 for line in lines)
    twins = default_seeds(outline.parameters) if untrained_seeds is None else untrained_seeds
    multiplications = outline.body_parameters * positions * (2 + _WORDS) * (1 + twins)
    return RunPlan(
        model=outline.spec,
        family=outline.family,
        layers=outline.layers,
        parameters=outline.parameters,
        heads=outline.heads,
        width=outline.width,
        weight_bytes=outline.weight_bytes,
        memory_bytes=memory_bytes(),
        contexts=len(lines),
        positions=positions,
        capture_bytes=4 * len(lines) * outline.layers * outline.width,
        twins=twins,
        seconds=multiplications / _multiplications_a_second(),
    )


def plan_lines(plan: RunPlan) -> list[str]:
    """Return a plan for a person."""
    needed = plan.weight_bytes * (2 if plan.twins else 1)
    heads = ", ".join(f"{name} {count}" for name, count in plan.heads.items())
    lines = [
        f"model     {plan.model}: {plan.family}, {plan.layers} layers, {plan.parameters:,} parameters",
        f"          heads: {heads}; Q, K and V together {plan.width} wide",
        f"contexts  {plan.contexts}, at most some {plan.positions:,} token positions",
        f"memory    weights {_size(plan.weight_bytes)}, of a model and a twin at a time {_size(needed)}; the target at "
        f"every layer {_size(plan.capture_bytes)}; this machine has {_size(plan.memory_bytes)}",
        f"time      forward passes at most {_time(plan.seconds)}: target, fresh contexts and {_WORDS} words, of the "
        f"model and of {plan.twins} untrained {'twin' if plan.twins == 1 else 'twins'}; judging comes on top",
    ]
    if needed > plan.memory_bytes:
        lines.append("warning   this is more memory than the machine has; choose --qkv-dtype=bfloat16 or another model")
    return lines


def _multiplications_a_second() -> float:
    import torch

    left, right = torch.ones(_SIZE, _SIZE), torch.ones(_SIZE, _SIZE)
    spent = []
    for _ in range(_TURNS):
        begun = time.perf_counter()
        torch.mm(left, right)
        spent.append(time.perf_counter() - begun)
    return float(_SIZE**3 / min(spent))


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
