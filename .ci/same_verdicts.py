"""Compare the verdicts of result files with those of the first: same claims, same verdicts, estimates within 1e-9.

python .ci/same_verdicts.py one.json two.json ...
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TOLERANCE = 1e-9


def differences(first: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Return what differs between two results, a line a cell."""
    one, two = ({verdict["key"]: verdict for verdict in results["verdicts"]} for results in (first, other))
    found = [f"{key} is in one of them only" for key in sorted(one.keys() ^ two.keys())]
    for key in sorted(one.keys() & two.keys()):
        was, now = (tuple(side[key][name] for name in ("verdict", "estimate")) for side in (one, two))
        moved = was[1] is not None and now[1] is not None and abs(was[1] - now[1]) > TOLERANCE
        if was[0] != now[0] or (was[1] is None) != (now[1] is None) or moved:
            found.append(f"{key}: {was[0]} ({was[1]}), {now[0]} ({now[1]})")
    return found


def main(paths: list[str]) -> int:
    """Print what differs; return 1 if anything does."""
    if len(paths) < 2:
        print("give at least two result files, as --qkv-json writes them.", file=sys.stderr)
        return 2
    first, *others = (json.loads(Path(path).read_text("utf-8")) for path in paths)
    found = [f"{path}: {line}" for path, other in zip(paths[1:], others, strict=True)
             for line in differences(first, other)]  # fmt: skip
    print("\n".join(found) or f"{len(first['verdicts'])} verdicts are the same in {len(paths)} files")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
