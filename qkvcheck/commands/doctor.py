"""``qkvcheck doctor``: look at this machine, or measure how much of a number is noise."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from qkvcheck.commands.options import MODEL_OPTIONS, add_claims, add_load, add_options, claims_of, load
from qkvcheck.files import check_output


def add(commands: Any) -> None:
    """Add the command and its options."""
    doctor = commands.add_parser(
        "doctor",
        help="versions, devices, cache, what auto chooses, whether the hub answers; --noise: the noise floor",
        description="Look at this machine: versions, devices, the local model cache, what --qkv-model auto would "
        "choose and why, and whether the Hugging Face hub answers (asked once, for two seconds; not with "
        "HF_HUB_OFFLINE=1). Exit status 1 if something here is broken. With --noise: measure the claims' numbers under "
        "other batch sizes, thread counts, attention implementations and number formats. The largest change is the "
        "noise floor; with --baseline it is written beside the verdicts on record, and drift is judged against it.",
        epilog="example: qkvcheck doctor --json > machine.json; "
        "qkvcheck doctor --noise --model embedded --baseline experiments/baselines/embedded.json",
    )
    doctor.add_argument("--json", action="store_true", help="print the findings as JSON")
    doctor.add_argument("--noise", action="store_true", help="measure the noise floor of the claims' numbers")
    add_options(doctor, *MODEL_OPTIONS, layers="those of the claims file")
    add_claims(doctor)
    doctor.add_argument("--baseline", metavar="FILE", help="write the floor into this file of recorded verdicts")
    add_load(doctor)
    doctor.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status."""
    if options.noise:
        return _noise(options)
    from qkvcheck.commands.machine import as_document, examine

    checks = examine()
    if options.json:
        print(json.dumps(as_document(checks), indent=1))
    else:
        wide = max(len(check.name) for check in checks)
        for check in checks:
            print(f"{check.name:<{wide}}  {check.found}")
    return 0 if all(check.healthy for check in checks) else 1


def _noise(options: argparse.Namespace) -> int:
    from dataclasses import asdict

    from tqdm import tqdm

    from qkvcheck.capture import Plan, Samples, tokens_sha256
    from qkvcheck.commands.machine import machine
    from qkvcheck.record import Conditions, measure_noise, noise_floor, noise_lines, read_baseline, write_noise

    check_output("--baseline", options.baseline)
    if options.baseline:
        read_baseline(options.baseline)  # a file that can't take the floor shows before the work
    file = claims_of(options.claims)
    hooked, contexts = load(options)
    layers = file.at_depth(hooked.depth).layers if options.layers is None else options.layers.at(hooked.depth)
    fresh = file.fresh
    plan = Plan(layers=layers, words=file.words.lists(), fresh_count=fresh.count, fresh_seed=fresh.seed)
    samples = Samples(hooked, contexts, plan)
    with tqdm(total=8, unit="way", disable=None, file=sys.stderr) as bar:

        def announce(name: str) -> None:
            bar.set_description(name)
            bar.update()

        noise = measure_noise(samples, list(file.claims.values()), announce=announce)
    floor = noise_floor(noise, machine())
    if options.json:
        print(json.dumps(asdict(floor), indent=1))
    else:
        print(f"model {hooked.spec}, corpus {contexts.name}, layers {', '.join(map(str, layers))} (zero-based)")
        print("\n".join(noise_lines(noise)))
    if options.baseline:
        conditions = Conditions(
            fingerprint=hooked.fingerprint,
            corpus_sha256=contexts.sha256,
            dtype=hooked.dtype,
            device=hooked.device.type,
            tokens_sha256=tokens_sha256(hooked, contexts),
            plan_sha256=plan.sha256,
        )
        write_noise(options.baseline, floor, conditions)
        print(f"Noise floor written to {options.baseline}", file=sys.stderr)
    return 0
