"""How figures and tables are shown."""

import math
from html.parser import HTMLParser

import pytest

from utils.system.tables import (
    align_cells,
    escape_markdown,
    format_table,
    format_value,
    markdown_rows,
    on_one_line,
)


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


@pytest.mark.parametrize(
    "name, escaped",
    [
        ("run_1", "run_1"),
        ("NUDT-MIRSDT", "NUDT-MIRSDT"),
        ("a|b", r"a\|b"),
        ("a\\|b", r"a\\\|b"),
        ("`a` *b* _c_ a_b", r"\`a\` \*b\* \_c\_ a_b"),
        ("<b>&lt;", "&lt;b&gt;&amp;lt;"),
        ("[a](b)", r"\[a\](b)"),
        ("~~a~~ $b$", "&#126;&#126;a&#126;&#126; &#36;b&#36;"),
        ("a\n\tb\r\x1b[1m", "a  b \ufffd\\[1m"),
        ("- a", r"\- a"),
        ("+1", r"\+1"),
        ("## a", r"\## a"),
        ("12. a", r"12\. a"),
        ("1) a", r"1\) a"),
        (" a ", "a"),
    ],
)
def test_markdown_marks_in_names_lose_their_meaning(name, escaped):
    assert escape_markdown(name) == escaped


NAMES = [
    *(
        "a|b",
        "|",
        "a\\|b",
        "\\",
        "`c`",
        "``",
        "<b>A&B</b>",
        "<script>",
        "*b* _i_ __x__",
        "a\nb",
        "a\r\n\n# b",
        "a\"b'c",
    ),
    *("a,b;c", "a\tb", "=1+1", "+1", "-1", "- x", "@x", "# h", "1. x", "2) x", "[x](y)", "![x](y)", "&lt;", "&#35;"),
    *("---", "> q", "~~~", "$x$", "第é", "run_1", "_", "a*b*c", "x  ", "http://a_b/*c*"),
]


class Shown(HTMLParser):
    """The tags of a page, and the text in its cells and paragraphs, blanks made one."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(page)

    def handle_starttag(self, tag, _):
        self.tags.append(tag)
        if tag in ("th", "td", "p"):
            self.texts.append("")

    def handle_data(self, data):
        if data.strip():
            self.texts[-1] += data


def test_names_are_shown_letter_by_letter_by_what_reads_markdown():
    markdown = pytest.importorskip("markdown")
    expected = [" ".join(name.split()) for name in NAMES]
    names = list(map(escape_markdown, NAMES))
    rows = markdown_rows([names, names])
    assert len(rows) == 3 and not any("\n" in row for row in rows)
    table = Shown(markdown.markdown("\n".join(rows), extensions=["tables"]))
    assert [" ".join(text.split()) for text in table.texts] == 2 * expected
    assert set(table.tags) == {"table", "thead", "tbody", "tr", "th", "td"}
    for name, text in zip(names, expected, strict=True):
        shown = Shown(markdown.markdown(f"{name}, split test: 1 frame.", extensions=["tables"]))
        assert shown.tags == ["p"] and " ".join(shown.texts[0].split()) == f"{text}, split test: 1 frame."


def test_names_break_no_line_of_a_table_and_steer_no_terminal():
    table = format_table({name: {"a": name} for name in [*NAMES, "\x1b[31m", "\udce4", "a\x00"]}, [("a", "a", "s")])
    assert len(table.split("\n")) == len(table.splitlines()) == len(NAMES) + 4
    assert all(line.isprintable() for line in table.splitlines())
    assert on_one_line("a  b–é第") == "a  b–é第" and on_one_line("a\x85b\u2028c\x7f") == "a b c\ufffd"
