from .corpus.shards import kept_input
from .corpus.sources import files_of
from .distributed import Workers, workers
from .judged.outcome import conclude, folder_of, met_lines, unjudged_lines
from .plan import CLUSTERINGS, Memory, SweepPlan, memory_of, parse_size, size_text
from .progress import Progress
from .running import Here, Swept, run_sweep, scan_all

__all__ = [
    "CLUSTERINGS",
    "Here",
    "Memory",
    "Progress",
    "SweepPlan",
    "Swept",
    "Workers",
    "conclude",
    "files_of",
    "folder_of",
    "kept_input",
    "memory_of",
    "met_lines",
    "parse_size",
    "run_sweep",
    "scan_all",
    "size_text",
    "unjudged_lines",
    "workers",
]
