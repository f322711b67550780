from .baseline import (
    ADD_COMMAND,
    Baseline,
    Finding,
    compare,
    difference,
    finding_from_dict,
    read_baseline,
    stale_keys,
    write_baseline,
    write_noise,
)
from .change import change_rows
from .drift import drift_lines, drifts, first_moved, provenance_lines, verdict_line
from .noise import measure_noise, noise_document, noise_lines
from .results import Results, load_results, read_results, write_results

__all__ = [
    "ADD_COMMAND",
    "Baseline",
    "Finding",
    "Results",
    "change_rows",
    "compare",
    "difference",
    "drift_lines",
    "drifts",
    "finding_from_dict",
    "first_moved",
    "load_results",
    "measure_noise",
    "noise_document",
    "noise_lines",
    "provenance_lines",
    "read_baseline",
    "read_results",
    "stale_keys",
    "verdict_line",
    "write_baseline",
    "write_noise",
    "write_results",
]
