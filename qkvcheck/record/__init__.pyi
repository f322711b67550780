from .baseline import (
    ADD_COMMAND,
    RECORD_COMMAND,
    Baseline,
    Conditions,
    compare,
    conditions_of,
    difference,
    read_baseline,
    stale_keys,
    write_baseline,
    write_noise,
)
from .change import NoiseFloor, change_rows
from .drift import drift_lines, drifts, first_moved, provenance_lines, verdict_line
from .finding import Finding, finding_from_dict, label
from .noise import measure_noise, noise_floor, noise_lines
from .results import Results, load_results, read_results, write_results
from .run import Cited, FileOrigin, ModelOrigin, Run, RunCorpus, RunSettings, Seen, run_from_dict

__all__ = [
    "ADD_COMMAND",
    "RECORD_COMMAND",
    "Baseline",
    "Cited",
    "Conditions",
    "FileOrigin",
    "Finding",
    "ModelOrigin",
    "NoiseFloor",
    "Results",
    "Run",
    "RunCorpus",
    "RunSettings",
    "Seen",
    "change_rows",
    "compare",
    "conditions_of",
    "difference",
    "drift_lines",
    "drifts",
    "finding_from_dict",
    "first_moved",
    "label",
    "load_results",
    "measure_noise",
    "noise_floor",
    "noise_lines",
    "provenance_lines",
    "read_baseline",
    "read_results",
    "run_from_dict",
    "stale_keys",
    "verdict_line",
    "write_baseline",
    "write_noise",
    "write_results",
]
