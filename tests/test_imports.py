"""What may import what: the direction of the design, and a start-up without torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import qkvcheck

from .conftest import ROOT

PACKAGE = ROOT / "qkvcheck"

# module: what it may import from qkvcheck, at the top or inside functions.
ALLOWED = {
    "__init__": {
        "activations", "claims", "contexts", "corpora", "errors", "judging", "models", "moments", "results",
        "similarity", "verdicts",
    },
    "errors": set(),
    "settings": {"errors"},
    "contexts": {"errors"},
    "corpora": {"contexts", "errors"},
    "vocabulary": {"contexts", "errors"},
    "sampling": {"contexts", "corpora", "errors", "vocabulary"},
    "strategies": {"contexts", "corpora", "encoders", "errors", "vocabulary"},
    "architectures": {"errors"},
    "weights": {"errors"},
    "download": set(),
    "hub": {"errors", "weights"},
    "encoders": {"errors"},
    "models": {"architectures", "encoders", "errors", "hub", "weights"},
    "activations": {"errors"},
    "capture": {"activations", "architectures", "contexts", "errors", "forwards", "models"},
    "forwards": set(),
    "samples": {"activations", "capture", "contexts", "corpora", "errors", "models", "sampling"},
    "kernels": {"kernels"},
    "kernels.binning": set(),
    "kernels.gram": set(),
    "kernels.micro_kernel": set(),
    "kernels.numba_": {"kernels"},
    "kernels.reference": {"kernels"},
    "kernels.tiles": {"kernels"},
    "kernels.torch_": {"kernels"},
    "similarity": {"kernels", "errors"},
    "statistics": {"kernels", "similarity", "errors"},
    "polarisation": {"kernels", "similarity", "errors"},
    "moments": {"errors", "jackknife", "kernels", "similarity"},
    "offset": {"similarity", "errors"},
    "attribution": set(),
    "pictures": {"offset", "similarity"},
    "jackknife": {"errors"},
    "bounds": {"errors"},
    "measurement": {"attribution", "errors", "jackknife", "offset", "polarisation", "similarity", "statistics"},
    "references": {"measurement", "offset"},
    "profile": {"jackknife", "measurement"},
    "claims": {"errors"},
    "measured": {"claims", "jackknife", "measurement", "similarity"},
    "verdicts": {"claims"},
    "comparing": {"bounds", "claims", "jackknife", "measured", "measurement", "references", "verdicts"},
    "judging": {
        "bounds", "claims", "comparing", "errors", "jackknife", "measured", "measurement", "offset", "pictures",
        "polarisation", "references", "similarity", "statistics", "verdicts",
    },
    "untrained": {"activations", "documents", "measurement", "models", "samples"},
    "control_words": set(),
    "controls": {"capture", "contexts", "control_words", "errors", "models", "samples", "sampling", "untrained"},
    "beyond": {
        "claims", "comparing", "jackknife", "judging", "measured", "measurement", "profile", "untrained", "verdicts",
    },
    "referee": {"activations", "contexts", "errors"},
    "drift": {"activations", "errors"},
    "documents": set(),
    "baseline": {"change", "documents", "errors", "verdicts"},
    "change": {"jackknife", "verdicts"},
    "results": {"baseline", "documents", "errors", "story", "verdicts"},
    "statistic_words": {"verdicts"},
    "wording": {"baseline", "claims", "polarisation", "statistic_words", "story", "verdicts"},
    "overview": {"baseline", "claims", "report", "story", "verdicts"},
    "drawing": set(),
    "figures": {"baseline", "claims", "figures"},
    "figures.picture": {"verdicts"},
    "figures.dimensions": {"drawing", "figures", "story", "verdicts"},
    "figures.contexts": {"drawing", "figures", "verdicts"},
    "figures.layers": {"drawing", "figures", "story", "verdicts"},
    "page": {
        "baseline", "claims", "control_words", "documents", "errors", "figures", "overview", "report", "results",
        "statistic_words", "story", "verdicts", "wording",
    },
    "story": {"baseline", "change", "verdicts"},
    "report": {"baseline", "claims", "story", "verdicts"},
    "progress": set(),
    "recording": {"page", "baseline", "errors", "report", "results", "session", "verdicts"},
    "session": {
        "baseline", "capture", "claims", "contexts", "controls", "corpora", "errors", "models", "referee", "samples",
        "settings",
    },
    "search": {"claims", "contexts", "errors"},
    "search_measures": {
        "claims", "contexts", "errors", "measured", "measurement", "models", "samples", "similarity", "untrained",
    },
    "search_report": {"bounds", "contexts", "search"},
    "adversary": {
        "bounds", "claims", "contexts", "errors", "models", "samples", "sampling", "search", "search_measures",
        "search_report", "strategies", "verdicts",
    },
    "noise": {"claims", "errors", "models", "samples", "search_measures"},
    "peers": {"contexts", "kernels", "models"},
    "bench": {
        "capture", "claims", "contexts", "corpora", "documents", "errors", "judging", "measurement", "models", "peers",
        "similarity",
    },
    "doctor": {"encoders", "errors", "hub", "models", "similarity", "weights"},
    "cli": {"commands", "errors"},
    "commands": {"contexts", "corpora", "errors", "models"},
    "commands.bench": {"bench", "commands", "doctor", "errors"},
    "commands.compare": {"capture", "commands", "drift", "errors", "referee"},
    "commands.doctor": {
        "baseline", "claims", "commands", "corpora", "doctor", "models", "noise", "samples", "settings",
    },
    "commands.explain": {"control_words", "errors", "results", "story"},
    "commands.record": {"capture", "commands", "errors", "settings"},
    "commands.report": {"commands", "drawing", "errors", "figures", "page", "results"},
    "commands.search": {
        "adversary", "claims", "commands", "contexts", "corpora", "errors", "models", "samples", "search_report",
        "settings",
    },
    "checking": {
        "adversary", "baseline", "beyond", "claims", "comparing", "controls", "errors", "judging", "measurement",
        "referee", "samples", "session", "untrained", "verdicts",
    },
    "stash": {"report", "session"},
    "outcomes": {"baseline", "claims", "errors", "stash", "story", "verdicts"},
    "fixtures": {
        "activations", "baseline", "checking", "claims", "contexts", "controls", "models", "outcomes", "progress",
        "referee", "samples", "session", "stash",
    },
    "plugin": {
        "claims", "errors", "fixtures", "outcomes", "page", "progress", "recording", "report", "session", "settings",
        "stash",
    },
}  # fmt: skip
ONLY_IN = {
    "pytest": {"fixtures", "outcomes", "plugin", "stash"},
    "hypothesis": {"search", "strategies"},
    "torch": {"architectures", "capture", "doctor", "kernels.torch_", "models", "noise", "peers"},
    "numba": {"kernels.micro_kernel", "kernels.numba_"},
    "transformers": {"bench", "encoders", "models", "weights"},
    "sklearn": {"peers"},
    "matplotlib": {"drawing"},
    "jinja2": {"page"},
    "pandas": {"results"},
    "nnsight": {"peers"},
    "transformer_lens": {"peers"},
    "huggingface_hub": {"doctor", "download", "hub"},
}


def module_name(path: Path) -> str:
    name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    return name.removesuffix(".__init__") if name != "__init__" else name


def imports_of(source: str) -> set[str]:
    """Return every imported module's full name, at any depth of the code."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} if node.module != "qkvcheck" else {f"qkvcheck.{alias.name}" for alias in node.names}
    return found


MODULES = {module_name(path): path.read_text("utf-8") for path in sorted(PACKAGE.rglob("*.py"))}


def test_every_module_is_listed():
    assert set(MODULES) == set(ALLOWED)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_direction(module):
    inner = {name.split("qkvcheck.", 1)[1] for name in imports_of(MODULES[module]) if name.startswith("qkvcheck.")}
    allowed = ALLOWED[module]
    assert {name for name in inner if name not in allowed and name.split(".")[0] not in allowed} == set()


@pytest.mark.parametrize("library", sorted(ONLY_IN))
def test_libraries_stay_where_they_belong(library):
    users = {
        module for module, source in MODULES.items() if any(n.split(".")[0] == library for n in imports_of(source))
    }
    assert users <= ONLY_IN[library]


def test_import_reader_sees_imports_inside_functions():
    source = (
        "def f():\n    from qkvcheck.models.loading.loading import x\n    import torch.nn\nfrom qkvcheck import report"
    )
    assert imports_of(source) == {"qkvcheck.models", "torch.nn", "qkvcheck.report"}


HEAVY = ("torch", "transformers", "scipy", "numpy", "hypothesis")
CHECK = "import sys; import {module}; print(','.join(m for m in {heavy!r} if m in sys.modules))"


def heavy_after_import(module: str) -> set[str]:
    command = CHECK.format(module=module, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(filter(None, done.stdout.strip().split(",")))


def test_plugin_and_package_pull_nothing_heavy():
    assert heavy_after_import("qkvcheck, qkvcheck.plugin") == set()


def test_the_check_above_can_fail():
    assert "numpy" in heavy_after_import("qkvcheck.statistics.similarity")


def test_a_plain_pytest_run_pulls_nothing_heavy(pytester):
    """Options, configuration, header and collection of a project that does not use qkvcheck."""
    pytester.makepyfile(
        f"""
        import sys

        def test_light():
            assert [m for m in {HEAVY!r} if m in sys.modules and m != "hypothesis"] == []
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:benchmark", "-p", "no:hypothesispytest")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*qkvcheck: model*")


def test_public_names():
    assert qkvcheck.__all__ == sorted(qkvcheck.__all__)
    assert set(qkvcheck._HOMES) == set(qkvcheck.__all__)
    for name in qkvcheck.__all__:
        assert getattr(qkvcheck, name).__name__ == name
        assert not name.lower().startswith("test")
    assert set(qkvcheck.__all__) <= set(dir(qkvcheck))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = qkvcheck.nothing
