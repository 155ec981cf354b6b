"""Names in another Unicode form or letter case."""

import unicodedata

import pytest

from utils.images.alike_names import AlikeNames, find_spelt_alike
from utils.system.errors import UserError
from utils.system.notices import warnings_given

COMPOSED = unicodedata.normalize("NFC", "s1/wärme_000")
APART = unicodedata.normalize("NFD", COMPOSED)


@pytest.mark.parametrize("there, asked", [(APART, COMPOSED), (COMPOSED, APART), ("s1/IMG_1", "S1/img_1")])
def test_one_name_of_another_form_or_case_is_found_and_said(there, asked):
    names = AlikeNames(lambda: [there, "s1/other"])
    assert names.find(asked) == there and names.find("s1/none") is None
    names.tell("list.txt")
    (line,) = warnings_given()
    assert line.startswith("list.txt: names spelt otherwise than their files: 1,") and asked in line and there in line


def test_the_unicode_form_comes_before_letter_case():
    names = AlikeNames(lambda: [APART, APART.upper()])
    assert names.find(COMPOSED) == APART and names.find(COMPOSED.upper()) == APART.upper()


def test_several_names_are_an_error_that_tells_both():
    names = AlikeNames(lambda: ["s1/A", "s1/a"])
    with pytest.raises(UserError, match="S1/a: found s1/A and s1/a"):
        names.find("S1/a")


def test_nothing_is_said_where_nothing_was_taken():
    names = AlikeNames(lambda: ["a"])
    names.find("b")
    names.tell("list.txt")
    assert not warnings_given()


def test_names_of_options_are_spelt_as_the_known_ones():
    assert find_spelt_alike(["A", "b", "x", COMPOSED], ["a", "b", APART], "--sequences") == ["a", "b", "x", APART]
    assert warnings_given()[0].startswith("--sequences: names spelt otherwise than their files: 2, the first A")
