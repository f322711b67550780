"""Run mutmut on a seeded sample of the mutants of statistics and claims; what came of it is in docs/testing.md.

    python tests/mutation.py                     # a fifth of each module's mutants
    python tests/mutation.py --share 0.1 --seed 2
    python tests/mutation.py --share 1 'qkvcheck.statistics.bounds.*'

All of them take some three hours. Settings are in pyproject.toml under `tool.mutmut`. Exit status 1 below 85 %.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path
from random import Random

ROOT = Path(__file__).parents[1]
LEAST = 0.85
KILLED = (1, 3, 24, -24, 36, 152, 255)
"""Exit status of a mutant that a test failed on (1, 3), or that ran out of its time, as an endless loop does."""
FATES = {0: "survived", 5: "no tests", 33: "no tests", None: "not run", **dict.fromkeys(KILLED, "killed")}


def run_mutmut(names: list[str]) -> None:
    # numba compiles for each process anew; torch's kernel gives the same counts.
    settled = {"OMP_NUM_THREADS": "1", "QKV_KERNEL": "torch", "PYTHONPATH": str(ROOT / "mutants")}
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", "1", *names]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **settled}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"mutmut ended with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")


def results() -> dict[str, dict[str, int | None]]:
    """Return for each module its mutants with what came of them; None for one that was not run."""
    found = {}
    for path in sorted((ROOT / "mutants").rglob("*.py.meta")):
        every = json.loads(path.read_text("utf-8"))["exit_code_by_key"]
        if every:
            found[str(path.relative_to(ROOT / "mutants")).removesuffix(".meta")] = every
    return found


def sampled(patterns: list[str], *, share: float, seed: int) -> list[str]:
    """Return a share of the mutants of each module, the same for the same seed."""
    chosen = []
    for module, every in results().items():
        names = sorted(name for name in every if not patterns or any(fnmatch(name, one) for one in patterns))
        chosen += Random(f"{seed} {module}").sample(names, round(share * len(names)))
    return chosen


def main(arguments: list[str]) -> int:
    """Run the sample, print a line a module and the survivors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=0.2, help="of each module's mutants")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("patterns", nargs="*", help="names of mutants, with * for anything")
    options = parser.parse_args(arguments)
    run_mutmut(["qkvcheck.statistics.bounds.x_specificity__mutmut_1"])  # makes them all
    names = set(sampled(options.patterns, share=options.share, seed=options.seed))
    run_mutmut(sorted(names))
    total: Counter[str] = Counter()
    survivors = []
    for module, every in results().items():
        fates = {name: FATES.get(code, f"status {code}") for name, code in every.items()}
        counts = Counter(fate for name, fate in fates.items() if name in names)
        survivors += [name for name, fate in fates.items() if name in names and fate != "killed"]
        if counts:
            print(f"{module:<48} {counts['killed']:>4} of {sum(counts.values()):>4} killed")
            total += counts
    print("\n".join(["", "not killed:", *survivors, ""]))
    score = total["killed"] / max(1, sum(total.values()))
    told = ", ".join(f"{count} {fate}" for fate, count in sorted(total.items()))
    print(f"score {score:.1%} ({told}); {sum(total.values())} of {sum(map(len, results().values()))} mutants were run")
    return 0 if score >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
