"""The faults on file: none of them stale, each with a test that exists. `tox run -e faults` makes them."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.conftest import ROOT
from tests.faults import Fault, read_faults

FAULTS = read_faults()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault_can_be_made_and_its_test_exists(fault):
    text = (ROOT / "qkvcheck" / fault.file).read_text("utf-8")
    assert text.count(fault.old) == 1
    assert fault.old != fault.new
    file, _, name = fault.by.partition("::")
    assert f"\ndef {name or 'test_'}" in (ROOT / file).read_text("utf-8")


def test_names_are_unique():
    assert [name for name, count in Counter(fault.name for fault in FAULTS).items() if count > 1] == []


def test_a_stale_fault_is_told(tmp_path):
    (tmp_path / "qkvcheck").mkdir()
    (tmp_path / "qkvcheck" / "a.py").write_text("x = 1\nx = 1\n")
    for old, count in (("x = 2", 0), ("x = 1", 2)):
        with pytest.raises(ValueError, match=f"is {count} times in a.py, not once"):
            Fault("a", "a.py", old, "y", "tests").apply(tmp_path)
