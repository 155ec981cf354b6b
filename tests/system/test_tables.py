"""How figures and tables are shown."""

import math

import pytest

from utils.system.tables import align_cells, format_table, format_value, markdown_rows


@pytest.mark.parametrize("style", ["", ".3f", "d", "s", ",", "+.1%"])
@pytest.mark.parametrize("value", [None, math.nan])
def test_what_is_undefined_is_a_dash_in_every_style(value, style):
    assert format_value(value, style) == "–"


@pytest.mark.parametrize(
    "value, style, text",
    [
        (0.0, "", "0"),
        (0.00099, "", "9.90e-04"),
        (0.001, "", "0.001"),
        (-0.0005, "", "-5.00e-04"),
        (12345.6, "", "1.235e+04"),
        (math.inf, "", "inf"),
        (7, "", "7"),
        (True, "", "True"),
        ("x", "", "x"),
        ((1, 2.5), "", "1,2.5"),
        ([], "", ""),
        (0.5, ".3f", "0.500"),
        (0, ".1f", "0.0"),
        (1234567, ",", "1,234,567"),
        ("x", "s", "x"),
    ],
)
def test_what_is_defined_has_few_digits_or_its_own_style(value, style, text):
    assert format_value(value, style) == text


def test_names_begin_and_figures_end_below_each_other():
    lines = [["a", "bcd", "1"], ["ef", "g", "100"]]
    assert align_cells(lines) == "a   bcd    1\nef    g  100"
    assert align_cells(lines, names=2) == "a   bcd    1\nef  g    100"
    assert align_cells(lines, least=(3, 1, 5), gap="|") == "a  |bcd|    1\nef |  g|  100"
    assert align_cells([["a", "long"], ["b", ""]], names=2) == "a  long\nb"  # nothing trails


def test_a_table_shows_its_columns_and_no_other_figures():
    rows = {"one": {"pd": 0.5, "fa": math.nan, "more": 1}, "other": {"pd": 1, "fa": 2e-5}}
    assert format_table(rows, [("Fa", "fa", ".0e"), ("Pd", "pd", ".2f")], "set") == (
        "set       Fa    Pd\none        –  0.50\nother  2e-05  1.00"
    )


def test_the_heads_of_a_markdown_table_are_the_first_row():
    assert markdown_rows([["a", "b"], ["1", "2"], ["3", "–"]]) == ["| a | b |", "|---|---|", "| 1 | 2 |", "| 3 | – |"]
