"""Write the second edition's verdicts into docs/embedded.md, from the records in experiments/baselines.

    python docs/embedded.py

To be run after the embedded model's records were made anew. The first edition's columns stay as they are: its weights
are gone from the package.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

PAGE = Path(__file__).with_suffix(".md")
RECORDS = Path(__file__).parents[1] / "experiments" / "baselines"
ROW = re.compile(r"\| (?P<claim>[PB]\d+\S*) \| (?P<cell>\w+|all six groups) \|.*\|")


def told(entry: dict[str, object]) -> str:
    """Return a verdict on record as a cell of the table: estimate, interval, verdict."""
    verdict = str(entry["verdict"]).lower().replace("inconclusive", "open")
    numbers = [entry.get(name) for name in ("estimate", "low", "high")]
    estimate, low, high = (f"{n:.3f}".replace("-0.000", "0.000") if isinstance(n, float) else None for n in numbers)
    interval = f" [{low}, {high}]" if low and high else ""
    return f"{estimate}{interval}, {verdict}" if estimate else verdict


def with_records(page: str) -> str:
    """Return the page with the second edition's columns as the records have them."""
    files = (RECORDS / "embedded.json", RECORDS / "embedded+balanced.json")
    verdicts = [json.loads(path.read_text("utf-8"))["verdicts"] for path in files]

    def row(match: re.Match[str]) -> str:
        cells = match.group(0).strip("| ").split(" | ")
        key = f"{match['claim']}-L06-{'QQ' if match['cell'] == 'all six groups' else match['cell']}"
        if len(cells) == 6:
            cells[3], cells[5] = (told(one[key]) for one in verdicts)
        return f"| {' | '.join(cells)} |"

    return ROW.sub(row, page)


if __name__ == "__main__":
    PAGE.write_text(with_records(PAGE.read_text("utf-8")), "utf-8")
