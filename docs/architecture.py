"""The rooms of the package, read from its code: write them into architecture.md.

python docs/architecture.py

Standard library only. tests/test_project_files.py fails where the page is not what this script makes.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "qkvcheck"
PAGE = Path(__file__).with_name("architecture.md")
BEGIN, END = "<!-- made by docs/architecture.py -->", "<!-- end of what is made -->"


def rooms() -> dict[str, list[Path]]:
    """Return every room with its modules; a module beside the rooms is a room of its own."""
    found: dict[str, list[Path]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        found.setdefault(path.relative_to(PACKAGE).parts[0].removesuffix(".py"), []).append(path)
    return {name: paths for name, paths in found.items() if name not in ("__init__", "data")}


def imported(path: Path) -> set[str]:
    """Return the dotted names that a module imports, anywhere in its code, for types alone too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            whole = node.module == "qkvcheck"
            names |= {f"qkvcheck.{alias.name}" for alias in node.names} if whole else {node.module}
    return names


def sentence(paths: list[Path]) -> str:
    """Return what a room says of itself: the first paragraph of its docstring, without its name."""
    door = next((path for path in paths if path.parent != PACKAGE and path.name == "__init__.py"), paths[0])
    first = (ast.get_docstring(ast.parse(door.read_text("utf-8"))) or "").split("\n\n")[0].replace("\n", " ")
    name, colon, rest = first.partition(": ")
    return rest if colon and " " not in name else first


def section() -> str:
    """Return the generated part of the page."""
    held = rooms()
    names = {room: set().union(*map(imported, paths)) for room, paths in held.items()}
    arrows = {
        room: sorted(
            {name.split(".")[1] for name in names[room] if name.startswith("qkvcheck.")} & held.keys() - {room}
        )
        for room in held
    }
    libraries = {
        room: sorted(
            {name.split(".")[0] for name in names[room]} - sys.stdlib_module_names - {"qkvcheck", "lazy_loader"}
        )
        for room in held
    }
    floors = _floors(arrows)
    top_down = [room for floor in reversed(floors) for room in floor]
    wide = max(map(len, held))
    table = [f"| `{room}` | {sentence(held[room])} | {', '.join(libraries[room])} |" for room in top_down]
    tree = [
        f"{room + '/' if len(held[room]) > 1 else room + '.py':<{wide + 4}}{_inside(held[room])}" for room in top_down
    ]
    lines = [
        f"{room:<{wide}}  -> "
        + (
            ", ".join(f"{other} (both ways)" if room in arrows[other] else other for other in arrows[room])
            or "(nothing)"
        )
        for room in top_down
    ]
    stairs = [f"{number}  {'  '.join(floor)}" for number, floor in reversed(list(enumerate(floors)))]
    parts = (
        ["## Rooms", "", "| room | what it is | libraries |", "|---|---|---|", *table, ""],
        ["## Modules", "", "```", *(line.rstrip() for line in tree), "```", ""],
        [
            "## Floors",
            "",
            "A room stands above all that it takes from; rooms that take from each other share a floor.",
            "",
            "```",
            *stairs,
            "```",
            "",
        ],
        ["## Arrows", "", "What a room takes from, imports for types included.", "", "```", *lines, "```"],
    )
    return "\n".join(line for part in parts for line in part)


def _inside(paths: list[Path]) -> str:
    """Return the modules and folders in a room."""
    if len(paths) == 1:
        return ""
    room = PACKAGE / paths[0].relative_to(PACKAGE).parts[0]
    inside = [path.relative_to(room).parts for path in paths if path.name != "__init__.py"]
    return "  ".join(dict.fromkeys(parts[0].removesuffix(".py") + "/" * (len(parts) > 1) for parts in inside))


def _floors(arrows: dict[str, list[str]]) -> list[list[str]]:
    """Return the rooms floor by floor, from the ground; rooms of a circle share a floor."""
    reached = {room: set(below) for room, below in arrows.items()}
    for _ in arrows:
        reached = {room: below.union(*(reached[other] for other in below)) for room, below in reached.items()}

    def floor(room: str) -> int:
        return max((floor(below) + 1 for below in reached[room] if room not in reached[below]), default=0)

    floors = {room: floor(room) for room in arrows}
    return [sorted(r for r in floors if floors[r] == number) for number in range(max(floors.values()) + 1)]


def page(text: str) -> str:
    """Return a page with its generated part as the code has it now."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{section()}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
