"""qkvcheck's own cache: where it is, and that what is in it under its name is whole."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import pytest

from qkvcheck.errors import ModelError
from qkvcheck.files import locked
from qkvcheck.models.gguf.store import STALE_SECONDS, _host, cache_folder, making, move


def nobody() -> None:
    raise AssertionError("nobody else makes it")


def make(place: Path, text: str) -> None:
    with making(place, waits=nobody) as folder:
        made = folder / "made"
        made.mkdir()
        (made / "file").write_text(text)
        move(made, place)


@pytest.mark.parametrize(
    ("own", "shared", "expected"),
    [
        ("/own", "/shared", "/own"),
        (None, "/shared", "/shared/qkvcheck"),
        (None, "relative", "~/.cache/qkvcheck"),
        (None, None, "~/.cache/qkvcheck"),
        ("", "", "~/.cache/qkvcheck"),
        ("~/mine", None, "~/mine"),
    ],
)
def test_where_it_is(monkeypatch, tmp_path, own, shared, expected):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in (("QKV_CACHE", own), ("XDG_CACHE_HOME", shared)):
        monkeypatch.delenv(name) if value is None and name in os.environ else None
        if value is not None:
            monkeypatch.setenv(name, value)
    assert cache_folder() == Path(expected).expanduser()


def test_the_tests_have_one_of_their_own(tmp_path_factory):
    assert tmp_path_factory.getbasetemp() in cache_folder().parents


def test_what_is_made_gets_its_name_and_replaces_what_was_not_whole(tmp_path):
    place = tmp_path / "deep" / "place"
    make(place, "one")
    make(place, "two")
    assert (place / "file").read_text() == "two"
    assert list(place.parent.iterdir()) == [place]


def test_an_error_leaves_nothing(tmp_path):
    place = tmp_path / "place"
    with contextlib.suppress(KeyboardInterrupt), making(place, waits=nobody) as folder:
        (folder / "half").write_text("half")
        assert folder.parent == tmp_path
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_left_overs_go_with_the_next_run(tmp_path):
    place = tmp_path / "place[1]"
    ours, others, fresh, elsewhere = (
        tmp_path / name
        for name in (
            f"{place.name}.part-{_host()}-1",
            f"{place.name}.part-far-1",
            f"{place.name}.part-far-2",
            "other.part-x-1",
        )
    )
    for folder in (ours, others, fresh, elsewhere):
        folder.mkdir()
        (folder / "half").write_text("half")
    long_ago = time.time() - STALE_SECONDS - 100
    os.utime(others, (long_ago, long_ago))
    make(place, "one")
    assert sorted(tmp_path.iterdir()) == sorted([place, fresh, elsewhere])


def test_another_process_is_waited_for(tmp_path):
    """Told once, and then the lock is taken as soon as it is free."""
    place, waited = tmp_path / "place", []
    other = locked(place)
    other.__enter__()

    def told() -> None:
        waited.append(place)
        other.__exit__(None, None, None)

    with making(place, waits=told) as folder:
        assert folder.is_dir()
        with pytest.raises(OSError, match="another process has been writing"), locked(place, seconds=0.0):
            pass
    assert waited == [place]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ModelError, match="can't be written"), making(tmp_path / "a" / "place", waits=nobody):
        pass


def test_what_can_not_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="can't be written .*QKV_CACHE") as caught:
        make(tmp_path / "file" / "place", "one")
    assert "\n" not in str(caught.value)
    with (
        pytest.raises(ModelError, match="No space left on device.: free some space there"),
        making(tmp_path / "place", waits=nobody) as folder,
    ):
        raise OSError(28, "No space left on device", str(folder / "x"))
