"""The groups in which the commands show their options."""

import dataclasses
import importlib
import re

import pytest
from scripts import script

from utils.synthetic.__main__ import main as make_synthetic
from utils.system.command_line import Parser
from utils.training.config import TrainConfig
from utils.training.config_cli import parse_cli
from utils.training.recipes import DETECTION_FIRST, SEGMENTATION_FIRST, SINGLE_FRAME_ONLY


def groups_of(parse, capsys):
    """The titles in a help text, and below each the names of its options."""
    with pytest.raises(SystemExit) as ended:
        parse(["--help"])
    assert ended.value.code == 0
    groups = {}
    for line in capsys.readouterr().out.splitlines():
        if title := re.fullmatch(r"(\w[\w ]*):", line):
            groups[title[1]] = []
        elif option := re.match(r" {2}(?:-\w, )?--([\w-]+)", line):
            groups[list(groups)[-1]].append(option[1])
    return groups


@pytest.mark.parametrize("recipes", [SEGMENTATION_FIRST, DETECTION_FIRST, SINGLE_FRAME_ONLY])
def test_training_shows_each_setting_in_one_of_seven_groups(recipes, capsys):
    groups = groups_of(lambda argv: parse_cli(recipes, argv), capsys)
    assert list(groups) == ["options", "Data", "Network", "Loss", "Schedule", "Augmentation", "Choosing", "Machine"]
    assert groups.pop("options") == ["help"]
    settings = [item.name.replace("_", "-") for item in dataclasses.fields(TrainConfig)]
    assert sorted(option for names in groups.values() for option in names) == sorted([*settings, "recipe"])
    assert groups["Network"][:2] == ["recipe", "model"]
    for names in groups.values():
        known = [name for name in names if name != "recipe"]
        assert known == sorted(known, key=settings.index)
    for title, one in {
        "Data": "data-root",
        "Network": "width",
        "Loss": "loss",
        "Schedule": "lr",
        "Augmentation": "flips",
        "Choosing": "val-fraction",
        "Machine": "device",
    }.items():
        assert one in groups[title]


@pytest.mark.parametrize(
    "name, titles",
    [
        ("test", ["Data", "Network", "Choosing", "Figures", "Output", "Tracks", "Machine"]),
        ("vid_map_coco", ["Data", "Network", "Choosing", "Figures", "Output", "Tracks", "Machine"]),
        ("vid_predict", ["Data", "Network", "Output", "Machine"]),
        ("utils.report.__main__", ["Data", "Network", "Figures", "Output", "Tracks", "Machine"]),
        ("utils.export", ["Network", "Output", "Calibration", "Machine"]),
        ("utils.verify", ["Data", "Network", "Choosing", "Output", "Machine"]),
        (
            "utils.synthetic.__main__",
            [
                *("Output", "Sequences", "Scene", "Targets", "Camera"),
                *("Further scenes", "Birds and insects", "Sensor faults", "Recording", "Machine"),
            ],
        ),
    ],
)
def test_other_commands_show_no_option_outside_of_their_groups(name, titles, capsys):
    parse = (
        make_synthetic
        if "synthetic" in name
        else (importlib.import_module(name) if "." in name else script(name)).parse
    )
    groups = groups_of(parse, capsys)
    positional = groups.pop("positional arguments", [])
    assert list(groups) == ["options", *titles] and groups["options"] == ["help"] and not positional
    options = [option for names in groups.values() for option in names]
    assert len(options) == len(set(options)) and all(groups.values())


def test_a_group_is_made_once_and_keeps_its_place():
    parser = Parser(prog="x")
    for title in ("One", "Other", "One"):
        parser.group(title).add_argument(f"--{title.lower()}{len(parser.group(title)._group_actions)}")
    text = parser.format_help()
    assert text.count("One:") == 1 and text.index("--one0") < text.rindex("--one1") < text.index("Other:")
