"""Models from the hub and its cache, against a stand-in on loopback, in processes of their own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from qkvcheck.models.loading import embedded_directory, load_model
from tests.conftest import ROOT
from tests.hub_stand_in import HubStandIn

pytestmark = pytest.mark.needs_time

REPOSITORY = "someone/small-gpt2"
STALL = 3.0
EXPERIMENT = """
import pytest

@pytest.mark.claim(id="alike", layer=6, group="Q", statistic="row_mean", above=-1.0)
def test_alike(claim, activations):
    claim.check(activations)
"""


# As ``python -m pytest``, but interruptible even where this process was started with SIGINT ignored.
PYTEST = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
import pytest
sys.exit(pytest.console_main())
"""


def files_in(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


@pytest.fixture(scope="module")
def repositories(tmp_path_factory) -> dict[str, dict[str, dict[str, bytes]]]:
    """The embedded model as ``main``, an untrained one as ``v2``, one with a pickle alone, one without weights."""
    main = files_in(embedded_directory())
    place = tmp_path_factory.mktemp("v2")
    load_model("embedded#untrained=5").model.save_pretrained(place)
    small = {name: content for name, content in main.items() if not name.endswith(".safetensors")}
    v2 = {**small, "model.safetensors": (place / "model.safetensors").read_bytes()}
    return {
        REPOSITORY: {"main": main, "v2": v2},
        "someone/pickled": {"main": {**small, "pytorch_model.bin": b"pickle"}},
        "someone/empty": {"main": {"README.md": b"nothing here"}},
        "gpt2": {"main": main},
    }


class Machine:
    """A machine with a cache of its own, on which pytest is run."""

    def __init__(self, folder: Path, endpoint: str) -> None:
        self.folder = folder
        self.cache = folder / "hf"
        (folder / "test_it.py").write_text(EXPERIMENT)
        (folder / "pytest.ini").write_text("[pytest]\n")
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "QKV_")) and "proxy" not in k.lower()}
        self.environment = {
            **clean, "HF_HOME": str(self.cache), "QKV_CACHE": str(folder / "own"), "HF_ENDPOINT": endpoint,
            "QKV_STALL_SECONDS": str(STALL),
            "PYTHONPATH": str(ROOT),
        }  # fmt: skip

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", PYTEST, "-p", "no:cacheprovider", "--color=no", *arguments]
        return subprocess.Popen(
            command, cwd=self.folder, env={**self.environment, **environment}, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, *arguments: str, **environment: str) -> tuple[int, str, float]:
        started = time.monotonic()
        process = self.start(*arguments, **environment)
        text, _ = process.communicate(timeout=120)
        return process.returncode, text, time.monotonic() - started

    def weights_taken_for_whole(self) -> list[Path]:
        """Weights in a snapshot; what is unfinished lies elsewhere, under another name, and is resumed or dropped."""
        return list(self.cache.rglob("*.safetensors"))


@pytest.fixture
def machine(tmp_path):
    return lambda endpoint: Machine(tmp_path, endpoint)


def error_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.startswith("ERROR: ")]
    assert len(lines) == 1, text
    assert "Traceback" not in text
    return lines[0]


@pytest.mark.long
def test_model_and_revision_load_and_the_second_run_asks_for_nothing(machine, repositories, embedded):
    with HubStandIn(repositories) as hub:
        here = machine(hub.endpoint)
        status, text, _ = here.run("--qkv-model", REPOSITORY, "--qkv-json", "r.json")
        assert status == 0, text
        assert f"model     {REPOSITORY} (hub model {REPOSITORY})" in text
        result = json.loads((here.folder / "r.json").read_text())
        assert result["model"]["fingerprint"] == embedded.fingerprint
        assert len(hub.weight_requests()) == 1

        count = len(hub.requests)
        status, text, _ = here.run("--qkv-model", REPOSITORY)
        assert status == 0, text
        assert hub.requests[count:] == []

        status, text, _ = here.run("--qkv-model", f"{REPOSITORY}@v2", "--qkv-json", "v2.json")
        assert status == 0, text
        other = json.loads((here.folder / "v2.json").read_text())
        assert other["model"]["fingerprint"] == load_model("embedded#untrained=5").fingerprint
    status, text, _ = here.run("--qkv-model", REPOSITORY, HF_HUB_OFFLINE="1")
    assert status == 0, text


# What is told, and the seconds within which it has to be: the hub library's own retries take over twenty.
FAULTS = {
    "silent": ("does not answer (ReadTimeout)|does not answer (TimeoutError)", 18),
    "silent-weights": ("stalled: nothing new for 3 s", 18 + STALL),
    "slow": ("stalled: nothing new for 3 s", 18 + STALL),
    "cut-off-no-ranges": ("stalled: nothing new for 3 s|could not be downloaded", 45),
    "wrong-length": ("could not be downloaded (Consistency check failed: file should be of size", 18),
    "401": ("answered 401 for model 'someone/small-gpt2', revision 'main': it does not exist or needs access", 18),
    "404": ("answered 404 for model 'someone/small-gpt2', revision 'main': there is no such model or revision", 18),
    "429": ("answered 429 for model 'someone/small-gpt2', revision 'main': it asks to slow down", 18),
    "500": ("answered 500 for model 'someone/small-gpt2', revision 'main': that is an error of the hub's own", 18),
    "weights-500": ("answered 500 for model|stalled: nothing new", 18 + STALL),
    "weights-403": ("answered 403 for model 'someone/small-gpt2'", 18),
}
TOUCHED_WEIGHTS = ("silent-weights", "slow", "cut-off-no-ranges", "wrong-length")


_START_UP: list[float] = []


def start_up(here) -> float:
    """Return how long a run takes here that asks no hub: on a busy machine a start alone takes many seconds."""
    if not _START_UP:
        _START_UP.append(here.run("--qkv-model", "./nowhere")[2])
    return _START_UP[0]


ALWAYS = ("404",)
"""Faults of the hub that are tried in every run."""


@pytest.mark.parametrize(
    "fault", [fault if fault in ALWAYS else pytest.param(fault, marks=pytest.mark.long) for fault in FAULTS]
)
def test_fault_is_one_line_in_time_and_leaves_nothing_behind(machine, repositories, fault):
    messages, seconds = FAULTS[fault]
    with HubStandIn(repositories, fault=fault) as hub:
        here = machine(hub.endpoint)
        status, text, took = here.run("--qkv-model", REPOSITORY)
    assert status == 4, text
    assert any(message in error_line(text) for message in messages.split("|")), text
    assert took - start_up(here) < seconds
    assert here.weights_taken_for_whole() == []
    if fault not in TOUCHED_WEIGHTS:
        return
    status, text, _ = here.run("--qkv-model", REPOSITORY, HF_HUB_OFFLINE="1")
    assert status == 4
    assert "HF_HUB_OFFLINE is set" in error_line(text)
    with HubStandIn(repositories) as hub:
        here.environment["HF_ENDPOINT"] = hub.endpoint
        status, text, _ = here.run("--qkv-model", REPOSITORY)
    assert status == 0, text


@pytest.mark.long
def test_cut_off_transfer_goes_on_where_it_stopped(machine, repositories):
    with HubStandIn(repositories, fault="cut-off") as hub:
        status, text, _ = machine(hub.endpoint).run("--qkv-model", REPOSITORY, QKV_STALL_SECONDS="20")
        assert status == 0, text
        assert len(hub.weight_requests()) == 11


@pytest.mark.long
def test_hub_that_is_down_or_has_no_address(machine):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for endpoint in (f"http://127.0.0.1:{port}", "http://hub.invalid"):
        here = machine(endpoint)
        status, text, took = here.run("--qkv-model", REPOSITORY)
        assert status == 4
        assert f"the hub at {endpoint} does not answer" in error_line(text)
        assert took - start_up(here) < 18


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("someone/pickled", "has only pytorch_model.bin, a pickle; weights are read from safetensors only"),
        *(
            pytest.param(model, message, marks=pytest.mark.long)
            for model, message in (
                ("someone/empty", "has no weights"),
                ("someone/nobody", "answered 404 for model 'someone/nobody', revision 'main'"),
                (f"{REPOSITORY}@v9", f"answered 404 for model '{REPOSITORY}', revision 'v9'"),
                ("two words", "is no name of a hub model"),
            )
        ),
    ],
)
def test_model_that_the_hub_does_not_have_as_needed(machine, repositories, model, message):
    with HubStandIn(repositories) as hub:
        status, text, _ = machine(hub.endpoint).run("--qkv-model", model)
        assert status == 4
        assert message in error_line(text)
        assert hub.weight_requests() == []


@pytest.mark.long
def test_stall_limit_that_is_no_number(machine, repositories):
    with HubStandIn(repositories) as hub:
        status, text, _ = machine(hub.endpoint).run("--qkv-model", REPOSITORY, QKV_STALL_SECONDS="soon")
    assert status == 4
    assert "QKV_STALL_SECONDS is 'soon'; it must be a number of seconds above 0" in error_line(text)


@pytest.mark.long
def test_two_runs_at_once_on_an_empty_cache(machine, repositories):
    with HubStandIn(repositories) as hub:
        here = machine(hub.endpoint)
        both = [here.start("--qkv-model", REPOSITORY, "--qkv-json", f"{n}.json") for n in range(2)]
        texts = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], texts
    prints = {json.loads((here.folder / f"{n}.json").read_text())["model"]["fingerprint"] for n in range(2)}
    assert prints == {load_model("embedded").fingerprint}
    assert not list(here.cache.rglob("*.incomplete"))


@pytest.mark.long
def test_interrupted_download_leaves_nothing_that_looks_whole(machine, repositories):
    with HubStandIn(repositories, fault="slow") as hub:
        here = machine(hub.endpoint)
        process = here.start("--qkv-model", REPOSITORY, QKV_STALL_SECONDS="60")
        end = time.monotonic() + 30
        while not hub.weight_requests() and time.monotonic() < end:
            time.sleep(0.1)
        try:
            assert hub.weight_requests()
            process.send_signal(signal.SIGINT)
            text, _ = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 2, text
    assert here.weights_taken_for_whole() == []


@pytest.mark.long
def test_progress_is_shown(machine, repositories):
    with HubStandIn(repositories, fault="slow") as hub:
        _, text, _ = machine(hub.endpoint).run("--qkv-model", REPOSITORY)
    size = sum(map(len, repositories[REPOSITORY]["main"].values())) / 1e6
    assert f"qkvcheck: downloading {REPOSITORY}: 0 of {size:.0f} MB, " in text


FORBID_SOCKETS = """
import socket

class NoSocket(socket.socket):
    def __init__(self, *arguments, **options):
        raise AssertionError("a socket was opened")

socket.socket = NoSocket
"""


def cache_of(here: Machine, repositories, name: str) -> Path:
    """Fill a machine's cache with a model; return the snapshot."""
    with HubStandIn(repositories) as hub:
        here.environment["HF_ENDPOINT"] = hub.endpoint
        status, text, _ = here.run("--qkv-model", name)
        assert status == 0, text
    (config,) = (here.cache / "hub" / f"models--{name.replace('/', '--')}").rglob("config.json")
    return config.parent


@pytest.fixture
def automatic(machine):
    """A machine where opening a socket fails, and a run of ``auto`` on it."""
    here = machine("http://127.0.0.1:9")

    def run() -> str:
        (here.folder / "conftest.py").write_text(FORBID_SOCKETS)
        status, text, _ = here.run("--qkv-model", "auto")
        assert status == 0, text
        return text

    return here, run


@pytest.mark.long
def test_auto_with_an_empty_cache(automatic):
    _, run = automatic
    reason = "GPT-2 small is not in the cache, smollm2 is not fetched"
    assert f"model embedded (ships with qkvcheck, edition 2; {reason}): gpt2" in " ".join(run().split())


@pytest.mark.long
def test_auto_with_a_whole_gpt2(automatic, repositories):
    here, run = automatic
    cache_of(here, repositories, "gpt2")
    assert "model     gpt2 (GPT-2 small, whole in the local cache): gpt2" in run()


@pytest.mark.long
@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (
            lambda path: path.write_bytes(path.read_bytes()[:5_000_000]),
            "model.safetensors has 5,000,000 bytes and should",
        ),
        (lambda path: path.unlink(), "model.safetensors is missing"),
    ],
    ids=["cut-off", "missing"],
)
def test_auto_with_a_half_written_gpt2(automatic, repositories, spoil, reason):
    here, run = automatic
    spoil((cache_of(here, repositories, "gpt2") / "model.safetensors").resolve())
    text = " ".join(run().split())  # it is wrapped
    assert f"model embedded (ships with qkvcheck, edition 2; gpt2 in the cache is not whole: {reason}" in text


@pytest.mark.long
@pytest.mark.parametrize("cut", [5_000_000, 20], ids=["in-the-data", "in-the-header"])
def test_half_written_model_is_fetched_anew_when_asked_for(machine, repositories, cut):
    """A file of the right name with too few bytes: the hub library would take it for whole for ever."""
    here = machine("http://127.0.0.1:9")
    weights = (cache_of(here, repositories, REPOSITORY) / "model.safetensors").resolve()
    weights.write_bytes(weights.read_bytes()[:cut])
    status, text, _ = here.run("--qkv-model", REPOSITORY, HF_HUB_OFFLINE="1")
    assert status == 4
    assert "is not whole in the local cache (model.safetensors" in error_line(text)
    with HubStandIn(repositories) as hub:
        status, text, _ = here.run("--qkv-model", REPOSITORY, HF_ENDPOINT=hub.endpoint)
        assert status == 0, text
        assert len(hub.weight_requests()) == 1


@pytest.mark.long
def test_untrained_hub_model_needs_no_weights(machine, repositories):
    with HubStandIn(repositories) as hub:
        status, text, _ = machine(hub.endpoint).run("--qkv-model", f"{REPOSITORY}#untrained=3")
        assert status == 0, text
        assert hub.weight_requests() == []


@pytest.mark.long
def test_hub_model_without_a_tokenizer_takes_a_named_one(machine, repositories):
    files = {n: c for n, c in repositories[REPOSITORY]["main"].items() if not n.startswith("tokenizer")}
    with HubStandIn({"someone/bare": {"main": files}}) as hub:
        here = machine(hub.endpoint)
        status, text, _ = here.run("--qkv-model", "someone/bare")
        assert status == 4
        assert "is not whole: its tokenizer is missing" in error_line(text)
        status, text, _ = here.run("--qkv-model", "someone/bare", f"--qkv-tokenizer={embedded_directory()}")
        assert status == 0, text


@pytest.mark.long
def test_auto_without_the_tokenizer(automatic, repositories):
    here, run = automatic
    (cache_of(here, repositories, "gpt2") / "tokenizer.json").unlink()
    assert "gpt2 in the cache is not whole: its tokenizer is missing" in " ".join(run().split())


@pytest.mark.long
def test_the_socket_guard_can_fail(machine, repositories):
    with HubStandIn(repositories) as hub:
        here = machine(hub.endpoint)
        (here.folder / "conftest.py").write_text(FORBID_SOCKETS)
        status, text, _ = here.run("--qkv-model", REPOSITORY)
        assert status == 4
        assert "does not answer (AssertionError)" in error_line(text)
        assert hub.requests == []


@pytest.mark.skipif("QKV_GPT2_TOKENIZER" not in os.environ, reason="QKV_GPT2_TOKENIZER names no GPT-2 tokenizer")
def test_full_size_from_directory_and_hub(machine, full_size, tmp_path):
    """GPT-2 with random weights beside the real tokenizer: one fingerprint in memory, from disk and from the hub."""
    from transformers import GPT2TokenizerFast

    import qkvcheck

    saved = tmp_path / "saved"
    tokenizer = GPT2TokenizerFast.from_pretrained(os.environ["QKV_GPT2_TOKENIZER"])
    full_size.model.save_pretrained(saved)
    tokenizer.save_pretrained(saved)
    in_memory = qkvcheck.from_model(full_size.model, tokenizer).fingerprint
    assert load_model(str(saved)).fingerprint == in_memory
    with HubStandIn({"someone/full": {"main": files_in(saved)}}) as hub:
        here = machine(hub.endpoint)
        status, text, _ = here.run("--qkv-model", "someone/full", "--qkv-json", "r.json", QKV_STALL_SECONDS="20")
    assert status == 0, text
    assert json.loads((here.folder / "r.json").read_text())["model"]["fingerprint"] == in_memory
    shutil.rmtree(here.cache)
