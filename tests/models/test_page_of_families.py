"""The page of families is what its script makes, and the example of a new family is one."""

from __future__ import annotations

import re
import runpy

import pytest

from qkvcheck.models import architecture
from tests.conftest import ROOT
from tests.models import families
from tests.models.families import Case
from tests.models.test_families import test_attention_is_the_models_own as attention_is_the_models_own
from tests.models.test_families import test_projections_are_what_attention_gets as projections_are_what_attention_gets

pytestmark = [
    pytest.mark.needs_time,
    pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning"),  # made by transformers 4
]


def test_the_page_is_what_is_known():
    text = (ROOT / "docs" / "models.md").read_text("utf-8")
    assert text == runpy.run_path(str(ROOT / "docs" / "models.py"))["page"](text), "run python docs/models.py"


def examples() -> list[str]:
    """Return the two blocks of CONTRIBUTING: a family's file, and its case."""
    told = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("### A model family")[2].partition("\n### ")[0]
    return re.findall(r"```python\n(.*?)```", told, flags=re.DOTALL)


def test_the_example_of_a_family_passes_the_oracle(monkeypatch):
    """As it stands: in some twenty lines, with the case below it."""
    file, told = examples()
    assert len(file.splitlines()) < 27
    monkeypatch.setattr(architecture, "_ARCHITECTURES", dict(architecture.architectures_by_family()))
    exec(compile(file, "granite.py", "exec"), {"__name__": "granite"})
    assert "granite" in architecture.architectures_by_family()
    case = eval(told, vars(families))
    assert isinstance(case, Case)
    attention_is_the_models_own(case)
    projections_are_what_attention_gets(case)


def test_the_example_without_its_scaling_fails(monkeypatch):
    """The oracle sees what the class is for."""
    file, told = examples()
    monkeypatch.setattr(architecture, "_ARCHITECTURES", dict(architecture.architectures_by_family()))
    exec(compile(file.replace("attention_multiplier)", "attention_multiplier) * 2"), "granite.py", "exec"), {})
    with pytest.raises(AssertionError):
        attention_is_the_models_own(eval(told, vars(families)))
