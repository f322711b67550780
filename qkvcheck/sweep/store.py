"""Store: the folder of a sweep: its manifest, and a checkpoint of every shard until it is merged; each whole or absent.

Shards are merged in their order, eight to a block and blocks to the total, whoever makes them and when: so the same
bits come out. What is merged is deleted, so that at any time there are at most the total twice, blocks that wait for
their turn, and the shards of unfinished blocks.
"""

from __future__ import annotations

import json
import os
import re
import uuid
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from qkvcheck.errors import DocumentError, SettingsError, shown
from qkvcheck.files import write_document
from qkvcheck.inputs import from_document, read_json
from qkvcheck.sweep.corpus.shards import Scanned
from qkvcheck.sweep.corpus.windows import Counts
from qkvcheck.sweep.plan import SweepPlan
from qkvcheck.sweep.state import Shape, from_arrays, to_arrays
from qkvcheck.sweep.work import Node

SCHEMA = "qkvcheck/sweep/1"
BLOCK = 8
"""Shards of a block."""
MANIFEST = "manifest.json"
_UNSAID = ("load",)
"""What of a plan changes no number."""


def manifest_of(plan: SweepPlan, files: Sequence[Scanned], *, fingerprint: str) -> dict[str, Any]:
    """Return what decides every bit of a sweep, as plain data."""
    libraries = {name: metadata.version(name) for name in ("qkvcheck", "torch", "transformers", "tokenizers", "numpy")}
    data = {
        "schema": SCHEMA,
        "plan": plan.to_dict(),
        "model_fingerprint": fingerprint,
        "files": [file.to_dict() for file in files],
        "versions": libraries,
    }
    plain: dict[str, Any] = json.loads(json.dumps(data))
    return plain


def check_same(old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Raise `SettingsError`, which names it, where something is not as it was when a sweep began."""
    if old.get("schema") != new["schema"]:
        raise SettingsError(
            f"--resume: the sweep on file has schema {shown(old.get('schema'))}; sweep into a new --out."
        )
    for name, value in new["plan"].items():
        before = old["plan"].get(name)
        if before != value and name not in _UNSAID:
            flag = _FLAGS.get(name, name.replace("_", "-"))
            raise SettingsError(
                f"--resume: --{flag} was {shown(before)} when the sweep began and is {shown(value)} now; give it as it "
                "was, or sweep into a new --out."
            )
    if old["model_fingerprint"] != new["model_fingerprint"]:
        raise SettingsError(
            f"--resume: the model's fingerprint was {old['model_fingerprint'][:12]} when the sweep began and is "
            f"{new['model_fingerprint'][:12]} now; use the same weights and tokenizer, or sweep into a new --out."
        )
    _check_files(old["files"], new["files"])
    for name, version in new["versions"].items():
        if old["versions"].get(name) != version:
            raise SettingsError(
                f"--resume: the sweep began with {name} {old['versions'].get(name)}, and {version} is installed; "
                "install that one, or sweep into a new --out."
            )


def _check_files(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> None:
    before, now = ({file["path"]: file for file in files} for files in (old, new))
    for path in [*before, *now]:
        if path not in now:
            raise SettingsError(f"--resume: {shown(path)} was part of the corpus when the sweep began; put it back.")
        if path not in before:
            raise SettingsError(f"--resume: {shown(path)} is new since the sweep began; leave it out, or sweep anew.")
        if before[path]["sha256"] != now[path]["sha256"]:
            raise SettingsError(
                f"--resume: {shown(path)} has changed since the sweep began (sha256 {before[path]['sha256'][:12]}, now "
                f"{now[path]['sha256'][:12]}); put the old one back, or sweep into a new --out."
            )


_FLAGS = {"targets": "target", "records": "shard-records", "most_bytes": "max-line", "groups": "groups"}


@dataclass(frozen=True)
class _Manifest:
    """What a manifest says."""

    plan: SweepPlan
    files: tuple[Scanned, ...]


class Store:
    """The folder of a sweep.

    Parameters
    ----------
    folder : Path
        Where it is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checkpoints = folder / "checkpoints"

    def begin(self, manifest: Mapping[str, Any], *, resume: bool) -> bool:
        """Make the folder, or go on in it; return whether there was a sweep.

        Raises
        ------
        SettingsError
            If it is not empty and that was not asked for, or the sweep in it was another one.
        """
        path = self.folder / MANIFEST
        if path.exists():
            if not resume:
                raise SettingsError(
                    f"--out {str(self.folder)!r} holds a sweep; go on with it (--resume), or name another folder."
                )
            try:
                old = read_json(path, schemas=(SCHEMA,))
            except DocumentError as error:
                raise SettingsError(
                    f"--resume: {str(path)!r} can't be read ({error}); sweep into a new --out."
                ) from None
            check_same(old, manifest)
            return True
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        write_document(path, manifest)
        return False

    def read(self) -> tuple[SweepPlan, list[Scanned]]:
        """Return plan and files of the sweep here."""
        data = from_document(_Manifest, read_json(self.folder / MANIFEST, schemas=(SCHEMA,)))
        return data.plan, list(data.files)

    def path(self, kind: str, number: int) -> Path:
        """Return the file of a checkpoint: of a shard, a block, the total up to a block, or which contexts count."""
        return self.checkpoints / f"{kind}-{number:07d}.npz"

    def last_total(self) -> int:
        """Return the last block up to which everything is merged; -1 if there is none."""
        pattern = re.compile(r"total-(\d{7})\.npz")
        found = [
            int(match[1]) for path in self.checkpoints.glob("total-*.npz") if (match := pattern.fullmatch(path.name))
        ]
        return max(found, default=-1)

    def write(self, path: Path, node: Node) -> None:
        """Write a node as a whole."""
        arrays: dict[str, np.ndarray] = {}
        for number, state in enumerate(node.states):
            if state is not None:
                arrays |= {f"{number}/{name}": array for name, array in to_arrays(state).items()}
        about = {
            "states": len(node.states),
            "counts": asdict(node.counts),
            "faults": node.faults,
            "told": node.told,
            "shards": node.shards,
        }
        arrays["about"] = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
        self.write_arrays(path, arrays)

    def write_arrays(self, path: Path, arrays: Mapping[str, np.ndarray]) -> None:
        """Write arrays as a whole: another process sees all of them or none."""
        temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
        try:
            with temporary.open("wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type] # names of arrays, none of them an option
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def load(self, path: Path, shapes: Sequence[Shape]) -> Node | None:
        """Return the node of a checkpoint; None where it is missing or damaged: it is then made anew."""
        try:
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            about = json.loads(bytes(arrays["about"]))
            own: dict[int, dict[str, np.ndarray]] = {}
            for name, array in arrays.items():
                number, slash, rest = name.partition("/")
                if slash:
                    own.setdefault(int(number), {})[rest] = array
            states = [from_arrays(own[n], shapes[n]) if n in own else None for n in range(about["states"])]
        except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile, zipfile.error):
            return None
        return Node(states, Counts(**about["counts"]), about["faults"], about["told"], about["shards"])

    def sizes(self) -> int:
        """Return the bytes of all checkpoints."""
        return sum(path.stat().st_size for path in self.checkpoints.glob("*.npz"))

    def clear(self, keep: Callable[[Path], bool]) -> None:
        """Delete what a killed process left: half-written files, and checkpoints that `keep` doesn't want."""
        for path in self.checkpoints.iterdir():
            if path.suffix == ".tmp" or not keep(path):
                path.unlink(missing_ok=True)
