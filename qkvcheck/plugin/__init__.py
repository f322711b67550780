"""Plugin: the door for pytest: options, markers, fixtures, outcomes, and the files of a run.

pytest walks in by the entry point `qkvcheck`; it loads the modules named here and nothing else.
"""

import lazy_loader

pytest_plugins = (
    "qkvcheck.plugin.cases",
    "qkvcheck.plugin.hooks",
    "qkvcheck.plugin.origins",
    "qkvcheck.plugin.fixtures",
    "qkvcheck.plugin.outcomes",
    "qkvcheck.plugin.overrides",
)
# No `__dir__`: pytest looks at everything that it names, and that would import it.
__getattr__, _, __all__ = lazy_loader.attach_stub(__name__, __file__)
