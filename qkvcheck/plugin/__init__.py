"""Plugin: the door for pytest: options, markers, fixtures, outcomes, and the files of a run.

pytest walks in by the entry point `qkvcheck`; it loads the modules named here and nothing else.
"""

pytest_plugins = ("qkvcheck.plugin.hooks", "qkvcheck.plugin.fixtures", "qkvcheck.plugin.outcomes")
