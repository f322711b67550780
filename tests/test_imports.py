"""What may import what: rooms and their doors, the direction between rooms, one library a room, a light start-up."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import qkvcheck
from tests.conftest import ROOT

PACKAGE = ROOT / "qkvcheck"

# Rules: a room takes from the doors of the floors below its own; the two doors for people never from each other.
FLOORS = (
    {"errors", "groups"},
    {"files"},
    {"inputs", "settings"},
    {"contexts", "models", "statistics"},
    {"capture"},
    {"claims"},
    {"record", "search"},
    {"report", "sweep"},
    {"plugin", "commands"},
    {"cli", "strategies", "__init__"},
)
ONE_ROOM = {
    "pytest": {"plugin"},
    "hypothesis": {"search"},
    "jinja2": {"report"},
    "matplotlib": {"report"},
    "pandas": {"record"},
    "transformers": {"models"},
    "huggingface_hub": {"models"},
    "msgspec": {"inputs"},
    "numba": {"statistics"},
    "diptest": {"statistics"},
    "torch": {"models", "capture", "statistics", "record", "sweep"},
    "argcomplete": {"cli"},
    "dask": {"sweep"},
    "distributed": {"sweep"},
    "pyarrow": {"sweep"},
    "zstandard": {"sweep"},
    "sklearn": set(),
    "nnsight": set(),
    "transformer_lens": set(),
}
ANY_LIBRARY = "commands"


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(source: str, package: str = "") -> set[str]:
    """Return every imported module's full name, at any depth of the code."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                module = ".".join(filter(None, [*package.split(".")[: -node.level + 1 or None], module]))
            found |= {module} if module != "qkvcheck" else {f"qkvcheck.{alias.name}" for alias in node.names}
    return found


def faults(room: str, imported: set[str], *, inside: bool = True) -> Iterator[str]:
    """Yield what a module of a room must not import."""
    floor = next(place for place, rooms in enumerate(FLOORS) if room in rooms)
    for name in sorted(imported):
        library, _, rest = name.partition(".")
        other, _, within = rest.partition(".")
        if library != "qkvcheck":
            if library in ONE_ROOM and room != ANY_LIBRARY and room not in ONE_ROOM[library]:
                yield f"{name}: {library} belongs to {', '.join(sorted(ONE_ROOM[library])) or ANY_LIBRARY}"
        elif other != room or not inside:
            if within and (room, other) != ("cli", "commands"):
                yield f"{name}: the inside of {other}; take it through the door"
            elif inside and not any(other in rooms for rooms in FLOORS[:floor]):
                yield f"{name}: {other} is not below {room}"


MODULES = sorted(path for path in PACKAGE.rglob("*.py*") if path.suffix in (".py", ".pyi"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_rooms_take_from_below_and_through_doors(path):
    package = ".".join(path.relative_to(ROOT).parent.parts)
    assert list(faults(room_of(path), imports_of(path.read_text("utf-8"), package))) == []


@pytest.mark.parametrize("path", sorted((ROOT / "experiments").glob("*.py")), ids=lambda path: path.name)
def test_experiments_take_from_doors(path):
    imported = {name for name in imports_of(path.read_text("utf-8")) if name.startswith("qkvcheck.")}
    assert list(faults("cli", imported, inside=False)) == []


@pytest.mark.parametrize(
    ("room", "source", "found"),
    [
        ("capture", "from qkvcheck.claims import judge", "claims is not below capture"),
        ("capture", "def f():\n    from qkvcheck.models.loading import load_model", "the inside of models"),
        ("plugin", "from qkvcheck.commands import contests", "commands is not below plugin"),
        ("claims", "import torch.nn", "torch belongs to"),
        ("statistics", "from qkvcheck import capture", "capture is not below statistics"),
    ],
)
def test_the_rules_can_fail(room, source, found):
    assert [found in fault for fault in faults(room, imports_of(source))] == [True]


def test_no_room_is_crowded():
    assert len([path for path in PACKAGE.iterdir() if path.name != "__pycache__"]) <= 21
    for room in (path for path in PACKAGE.rglob("*") if path.is_dir() and path.name != "__pycache__"):
        if "data" not in room.parts and room.name != "architectures":  # a file a family
            assert len([path for path in room.iterdir() if path.is_file()]) <= 15, room


@pytest.mark.parametrize("stub", sorted(PACKAGE.rglob("__init__.pyi")), ids=lambda path: path.parent.name)
def test_doors_name_what_they_hold(stub):
    """Each name of a door can be had through it, is listed once, and is called like no module of the room."""
    tree = ast.parse(stub.read_text("utf-8"))
    listed = [alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    door = __import__(f"qkvcheck.{stub.parent.name}", fromlist=["*"])
    assert sorted(listed) == sorted(door.__all__) == sorted(ast.literal_eval(tree.body[-1].value))  # type: ignore[attr-defined]
    assert not {path.stem for path in stub.parent.glob("*.py")} & set(listed)
    assert all(hasattr(door, name) for name in listed)


HEAVY = ("torch", "transformers", "scipy", "numpy", "hypothesis", "msgspec")
CHECK = "import sys; import {module}; print(','.join(m for m in {heavy!r} if m in sys.modules))"


def heavy_after_import(module: str) -> set[str]:
    command = CHECK.format(module=module, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(filter(None, done.stdout.strip().split(",")))


def test_plugin_and_package_pull_nothing_heavy():
    rooms = [f"qkvcheck.{path.parent.name}" for path in PACKAGE.glob("*/__init__.py")]
    assert heavy_after_import(", ".join(["qkvcheck", "qkvcheck.plugin.hooks", *rooms])) == set()


def test_the_check_above_can_fail():
    assert "numpy" in heavy_after_import("qkvcheck.statistics.similarity")


def test_a_plain_pytest_run_pulls_nothing_heavy(pytester):
    """Options, configuration, header and collection of a project that does not use qkvcheck."""
    pytester.makepyfile(
        f"""
        import sys

        def test_light():
            assert [m for m in {HEAVY!r} if m in sys.modules and m != "hypothesis"] == []
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:benchmark", "-p", "no:hypothesispytest")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*qkvcheck: model*")


def test_public_names():
    assert qkvcheck.__all__ == sorted(qkvcheck.__all__) == dir(qkvcheck)
    for name in qkvcheck.__all__:
        assert getattr(qkvcheck, name).__name__ == name
        assert not name.lower().startswith("test")
    with pytest.raises(AttributeError, match="nothing"):
        _ = qkvcheck.nothing
