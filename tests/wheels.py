"""Made-up wheels with a GGUF file in them, and folders that pip takes them from."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

from qkvcheck.models.gguf.fetched import PackagedModel

MEMBER = "llm_made_up/made-up.gguf"
INFO = "llm_made_up-0.1.dist-info"


def write_wheel(folder: Path, content: bytes, *, member: str = MEMBER, compressed: bool = True) -> Path:
    """Write a wheel that holds a file, and that would tell if it were ever run."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "llm_made_up-0.1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as archive:
        archive.writestr(member, content)
        archive.writestr("llm_made_up/__init__.py", "raise SystemExit('the package was run')\n")
        archive.writestr(f"{INFO}/METADATA", "Metadata-Version: 2.1\nName: llm-made-up\nVersion: 0.1\n")
        archive.writestr(f"{INFO}/WHEEL", "Wheel-Version: 1.0\nGenerator: none\nRoot-Is-Purelib: true\nTag: py3-none-any\n")  # fmt: skip  # noqa: E501
        archive.writestr(f"{INFO}/RECORD", "")
    return path


def packaged(wheel: Path, content: bytes, **other: object) -> PackagedModel:
    """The pins of a made-up wheel."""
    found = wheel.read_bytes()
    told = {
        "name": "made-up", "package": "llm-made-up", "version": "0.1", "member": MEMBER, "about": "made up",
        "wheel_sha256": hashlib.sha256(found).hexdigest(), "wheel_bytes": len(found),
        "sha256": hashlib.sha256(content).hexdigest(), "size": len(content),
    }  # fmt: skip
    return PackagedModel(**{**told, **other})  # type: ignore[arg-type]
