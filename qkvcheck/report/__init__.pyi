from .compared import compared_lines
from .explain import explain_lines
from .figures.drawing import standalone
from .figures.drawn import figures_of
from .figures.picture import Figure
from .figures.registry import FigureInput, register_figure
from .figures.trend import draw_trend, trend_lines
from .page import missing_libraries, write_page
from .screen import screen_lines
from .tally import TAG_WORDS
from .terminal import Line, asked_line, quiet_lines, summary_lines
from .texts import failure_text, properties_of

__all__ = [
    "TAG_WORDS",
    "Figure",
    "FigureInput",
    "Line",
    "asked_line",
    "compared_lines",
    "draw_trend",
    "explain_lines",
    "failure_text",
    "figures_of",
    "missing_libraries",
    "properties_of",
    "quiet_lines",
    "register_figure",
    "screen_lines",
    "standalone",
    "summary_lines",
    "trend_lines",
    "write_page",
]
