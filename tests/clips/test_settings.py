"""How a network sees clips, as one object that files hold."""

import dataclasses
import json

import pytest

from utils.clips.settings import ClipSettings
from utils.system.errors import UserError
from utils.training.recipes import SSTNET, TSMSA

GREY = ClipSettings(5, (100.0, 20.0), threshold=0.3, frame_step=4, register=True, bad_pixels=True, name="tsmsa")
LOCAL = dataclasses.replace(GREY, levels="local")
RGB = ClipSettings(3, ([1, 2, 3], [4, 5, 6]), "detection", fit="letterbox", input_size=512, num_classes=2)


@pytest.mark.parametrize("settings", [GREY, LOCAL, RGB])
def test_settings_go_through_json_and_come_back(settings):
    assert ClipSettings.from_dict(json.loads(json.dumps(settings.as_dict())), "x.pt") == settings


def test_what_an_earlier_version_did_not_write_has_its_default():
    assert ClipSettings.from_dict({"num_frames": 5, "normalisation": [100, 20]}, "x.pt") == ClipSettings(
        5, (100.0, 20.0)
    )


def test_what_is_unknown_is_named():
    with pytest.raises(UserError, match="x.onnx: found settings a, b, which this version does not know; update it"):
        ClipSettings.from_dict(GREY.as_dict() | {"b": 1, "a": 2}, "x.onnx")


@pytest.mark.parametrize(
    "changes, text",
    [
        ({"task": "tracking"}, "task 'tracking'"),
        ({"fit": "stretch"}, "fit 'stretch'"),
        ({"levels": "mine"}, "levels 'mine', expected one of dataset, local"),
        ({"fit": "resize"}, "fit 'resize' without an input_size"),
        ({"fit": "letterbox", "input_size": 0}, "input_size"),
        ({"register": 1}, "register 1, expected true or false"),
        ({"name": ["tsmsa"]}, r"name \['tsmsa'\] and bits None, expected text"),
        ({"bits": 12}, "name 'tsmsa' and bits 12, expected text and 8, 16 or none"),
    ],
)
def test_what_makes_no_sense_is_an_error(changes, text):
    with pytest.raises(ValueError, match=text):
        dataclasses.replace(GREY, **changes)


def test_a_recipe_gives_them_whole():
    config = dataclasses.replace(
        TSMSA, num_frames=3, frame_step=2, register=False, bad_pixels=False, threshold=0.25, input_size=64
    )
    assert config.clip_settings((90.0, 30.0)) == ClipSettings(
        3, (90.0, 30.0), threshold=0.25, frame_step=2, input_size=64, name="tsmsa"
    )
    found = dataclasses.replace(SSTNET, num_classes=2).clip_settings(([1.0] * 3, [2.0] * 3))
    assert (found.task, found.fit, found.num_classes, found.threshold) == ("detection", "letterbox", 2, 0.5)
