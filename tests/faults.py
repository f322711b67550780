"""Break the code on purpose, one place at a time, and see that the tests notice.

    python tests/faults.py          # all of tests/faults.toml
    python tests/faults.py kernels  # those whose file, name or test holds every text that is given

Works on a copy of the project, so that nothing is left broken. Exit status 1 if a fault survives.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
WITHOUT_SHRINKING = """
from hypothesis import Phase, settings

settings.register_profile("faults", phases=[Phase.explicit, Phase.generate])
settings.load_profile("faults")
"""
"""Goes into the copy's conftest: hypothesis would take minutes to find the smallest failure."""

COPIED = ("qkvcheck", "tests", "experiments", "training", "conftest.py", "pyproject.toml", "README.md")


@dataclass(frozen=True)
class Fault:
    """In qkvcheck/`file`, `old` becomes `new`; `by` is the test file, or the test, that has to fail."""

    name: str
    file: str
    old: str
    new: str
    by: str

    def apply(self, root: Path) -> None:
        """Write the fault into the project at `root`; `old` has to be there exactly once."""
        path = root / "qkvcheck" / self.file
        text = path.read_text("utf-8")
        if text.count(self.old) != 1:
            raise ValueError(f"{self.old!r} is {text.count(self.old)} times in {self.file}, not once")
        path.write_text(text.replace(self.old, self.new), "utf-8")


def read_faults() -> list[Fault]:
    """Return the faults on file, in its order."""
    data = tomllib.loads((ROOT / "tests" / "faults.toml").read_text("utf-8"))
    return [Fault(**entry) for entry in data["fault"]]


def copy_project(folder: Path) -> None:
    """Copy what the tests need, and see that the copy is what they would test."""
    for entry in COPIED:
        source = ROOT / entry
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / entry)
    with (folder / "conftest.py").open("a", encoding="utf-8") as conftest:
        conftest.write(WITHOUT_SHRINKING)
    command = [sys.executable, "-c", "import qkvcheck; print(qkvcheck.__file__)"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, env=environment_of(folder))
    if not done.stdout.startswith(str(folder)):
        sys.exit(f"the copy is not what would be tested: {done.stdout}")


def environment_of(folder: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}


def run_tests(folder: Path, tests: list[str]) -> tuple[int, str]:
    """Run tests on the copy up to the first failure; return the exit status and the line that says most."""
    # The expression takes the tests of the lane "long" in.
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "--no-header",
        "--tb=no",
        "-p",
        "no:cacheprovider",
        "-m",
        "long or not long",
        *tests,
    ]
    with tempfile.TemporaryDirectory() as cache:  # compiled code of another fault must not be taken for this one's
        environment = {**environment_of(folder), "NUMBA_CACHE_DIR": cache}
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)
    lines = (done.stdout + done.stderr).splitlines() or [""]
    failed = [line.split(" - ")[0] for line in lines if line.startswith(("FAILED", "ERROR"))]
    return done.returncode, (failed or lines[-1:])[0]


def is_caught(fault: Fault, folder: Path) -> bool:
    """Make one fault in the copy, run its tests, take it back, and say what came of it."""
    path = folder / "qkvcheck" / fault.file
    text = path.read_text("utf-8")
    try:
        fault.apply(folder)
    except ValueError as error:
        print(f"STALE     {fault.name}: {error}", flush=True)
        return False
    status, line = run_tests(folder, [fault.by])
    path.write_text(text, "utf-8")
    print(f"{'caught  ' if status == 1 else 'SURVIVED'}  {fault.name}: {line}", flush=True)
    return status == 1


def main(texts: list[str]) -> int:
    """Run the tests on the whole code, then on each fault."""
    chosen = [
        fault for fault in read_faults() if all(text in f"{fault.file} {fault.name} {fault.by}" for text in texts)
    ]
    if not chosen:
        print(f"no fault's file, name or test holds {' and '.join(texts)}")
        return 2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        copy_project(folder)
        status, line = run_tests(folder, sorted({fault.by for fault in chosen}))
        print(f"unbroken: {line}", flush=True)
        if status != 0:
            print("the tests fail before any fault is made")
            return 2
        caught = sum(is_caught(fault, folder) for fault in chosen)
    print(f"{caught} of {len(chosen)} caught")
    return 0 if caught == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
