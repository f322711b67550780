from .figures import figures_of
from .figures.drawing import standalone
from .page import missing_libraries, write_page
from .terminal import Line, asked_line, quiet_line, summary_lines
from .texts import explain_lines, failure_text, html_table, label, properties_of

__all__ = [
    "Line",
    "asked_line",
    "explain_lines",
    "failure_text",
    "figures_of",
    "html_table",
    "label",
    "missing_libraries",
    "properties_of",
    "quiet_line",
    "standalone",
    "summary_lines",
    "write_page",
]
