"""Warnings outlive the screen: they stand in the figures and in a training's log."""

import json

import pytest
from scripts import script
from trees import coco, picture, target_mask, touch, write, write_text

from utils.system.notices import warn
from utils.training.config import TrainConfig
from utils.training.run_log import RunLog, read_log


@pytest.mark.parametrize("name", ["test", "vid_map_coco"])
def test_metrics_hold_the_warnings(tmp_path, name):
    keys = [f"images/s/{i}.png" for i in range(2)]
    for number, key in enumerate(keys):
        write(tmp_path / "set" / key, picture(number))
        write(tmp_path / "set" / key.replace("images", "masks"), target_mask())
    touch(tmp_path / "set/images", ["s/2.raw"])
    write_text(tmp_path / "set/annotations/instances_test.json", json.dumps(coco(keys)))
    options = ["--method", "top-hat", "--data-root", str(tmp_path / "set"), "--out", str(tmp_path / "out"), "--quiet"]
    script(name).main(options)
    (line,) = json.loads((tmp_path / "out/metrics.json").read_text())["warnings"]
    assert "1 .raw" in line


def test_the_log_of_a_training_holds_the_warnings_of_all_its_runs(tmp_path):
    config = TrainConfig(name="run", out=str(tmp_path))
    warn("masks are dark")
    RunLog(config).close()
    warn("masks are bright")
    RunLog(config, history=[]).close()
    assert read_log(config.folder / "log.jsonl")[0]["warnings"] == ["masks are dark", "masks are bright"]
