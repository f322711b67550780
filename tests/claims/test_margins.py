"""Margins of a comparison with other weights: what a claims file and the option may say."""

from __future__ import annotations

import pytest

from qkvcheck.claims import load_claims
from qkvcheck.errors import ClaimError, SettingsError
from qkvcheck.plugin.run_files import check_margins
from qkvcheck.settings import OPTIONS

TOP = 'schema = "qkvcheck/claims/1"\n'
(MARGIN,) = (option for option in OPTIONS if option.name == "compare-margin")


def load(tmp_path, *texts):
    paths = [tmp_path / f"{number}.toml" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(TOP + text)
    return load_claims(*paths)


def test_margins_of_several_files_are_put_together(tmp_path):
    found = load(tmp_path, "", "[compare.margins]\nrow_mean = 0.05\nmean_square = 1\n")
    assert found.margins == {"row_mean": 0.05, "mean_square": 1.0}
    assert load(tmp_path, "").margins == {}


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (["[compare.margins]\nrow_mean = -0.1\n"], r"margins.row_mean is -0.1; it has to be a number from 0"),
        (['[compare.margins]\nrow_mean = "a"\n'], "compare: margins"),
        (["[compare]\nmargin = 0.1\n"], "key 'margin' is not known"),
        (["[compare.margins]\nrow_mean = 0.1\n"] * 2, "row_mean has a margin already"),
    ],
)
def test_margins_that_make_no_sense(tmp_path, texts, told):
    with pytest.raises(ClaimError, match=told):
        load(tmp_path, *texts)


def test_margin_of_an_unknown_statistic():
    check_margins({"row_mean": 0.1})
    with pytest.raises(ClaimError, match=r"names 'row_men', which is no statistic; allowed: .*row_mean"):
        check_margins({"row_men": 0.1})


@pytest.mark.parametrize(("text", "value"), [("0", 0.0), ("0.05", 0.05), (".5", 0.5), ("1e-3", 0.001)])
def test_option_reads_numbers_from_zero(text, value):
    assert MARGIN.read("--qkv-compare-margin", text) == value


@pytest.mark.parametrize("text", ["-1", "nan", "inf", "a", "0.1.2", "1e999"])
def test_option_refuses_anything_else(text):
    with pytest.raises(SettingsError, match="is no number from 0"):
        MARGIN.read("--qkv-compare-margin", text)
