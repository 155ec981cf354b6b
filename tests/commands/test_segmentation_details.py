"""What an evaluation says beyond its first table."""

import math

from utils.commands.segmentation_details import compat_table
from utils.metrics.published_countings import COUNTINGS


def test_a_counting_that_moves_nothing_defined_shows_dashes():
    figures = dict.fromkeys(COUNTINGS["area"].keys, math.nan) | {"fa": 0.0}
    lines = compat_table({"centroid": figures}, {"area": figures | {"fa": 0.5}}).splitlines()
    assert lines[0] == "as published code counts"
    assert [line.split() for line in lines[1:3]] == [
        ["counting", "figure", "right", "counted", "moves", "by"],
        ["area", "fa", "0", "0.5", "–"],
    ]
    assert all(line.split()[2:] == ["–", "–", "–"] for line in lines[3:]) and len(lines) > 3
