"""COCO json ⇄ txt lines: what survives, and what is named as lost."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from converting import NAMES, content, dataset, to_json, to_txt, written
from scripts import ROOT
from trees import SIZE, coco, real_data, write_coco, write_text

from utils.datasets.coco import read_coco
from utils.datasets.dataset import open_dataset
from utils.datasets.lists import read_lines
from utils.system.errors import UserError
from utils_coco import boxes_to_masks, coco_to_txt, masks_to_coco, txt_to_coco

# --- there and back --------------------------------------------------------------------------------------------------


def test_json_to_txt_to_json(tmp_path):
    path = dataset(tmp_path)
    assert to_txt(path)[0].endswith("instances_test2017.txt: 3 images, 3 boxes (1 images without)")
    assert path.with_suffix(".txt").read_text().splitlines() == [
        "images/test/a b/0.png 0.1,0.2,0.3,0.3,0 1.3333333333333333,2,18.4333333333333333,5.123456789,1",
        "images/test/a b/1.png",
        "images/test/c/7.png 30,20.5,32.5,24,0",
    ]
    to_json(path.with_suffix(".txt"), names=["drone", "sea bird"], out=str(tmp_path / "back.json"))
    before, after = (json.loads(p.read_text()) for p in (path, tmp_path / "back.json"))
    for item in before["annotations"] + after["annotations"]:
        item["area"] = pytest.approx(item["bbox"][2] * item["bbox"][3])
    assert after == before


def test_txt_to_json_to_txt(tmp_path):
    dataset(tmp_path).unlink()
    lines = [
        "images/test/c/7.png 1e-1,2.50,3.123456789012345,4,3",
        "images/test/a b/1.png",
        "images/test/a b/0.png -0.5,0,32.5,24,0 5,5,6,6,0",
    ]
    path = write_text(tmp_path / "annotations/test.txt", "\r\n".join(lines) + "\r\n\r\n", "utf-16")
    assert to_json(path)[0].endswith(
        "categories class0, class1, class2, class3 (txt lines hold no names; give them with --names)"
    )
    to_txt(path.with_suffix(".json"), out=str(tmp_path / "back.txt"))
    plain = lines[0].replace("1e-1", "0.1").replace("2.50", "2.5")
    assert (tmp_path / "back.txt").read_text().splitlines() == [plain, *lines[1:]]
    assert read_lines(str(tmp_path / "back.txt")) == read_lines(str(path))
    assert json.loads(path.with_suffix(".json").read_text())["images"][0] == {
        "id": 1,
        "file_name": "images/test/c/7.png",
        "width": SIZE[1],
        "height": SIZE[0],
    }


@pytest.mark.parametrize(
    "name, held",
    [
        *((name, True) for name in ("a b", "a  b", "a,b", 'a"b', "=1", "+1", "-1", "@x", "#1", "a;b", "1,2,3,4,0")),
        *((name, True) for name in ("a|`*<b>", "第 é", "a.png b", "1 2 3")),
        *((name, False) for name in ("a\nb", "a\rb", "a\x85b", "a\u2028b")),
    ],
)
@pytest.mark.parametrize("boxes", [(), ((12, 10, 3, 3),)])
def test_names_come_back_from_lines_letter_by_letter_or_are_refused(tmp_path, name, held, boxes):
    path = write_coco(tmp_path / "x.json", [f"images/{name}.png", f"{name}/0.png"], boxes=boxes)
    if held:
        to_txt(path)
        found = read_lines(str(path.with_suffix(".txt")))
        assert [entry.path for entry in found] == [f"images/{name}.png", f"{name}/0.png"]
        assert [len(entry.boxes or ()) for entry in found] == 2 * [len(boxes)]
    else:
        with pytest.raises(UserError, match="which a txt line cannot hold"):
            to_txt(path)
        assert not path.with_suffix(".txt").exists()


def test_random_decimals_survive(tmp_path):
    rng = np.random.default_rng(3)
    boxes = [
        tuple(
            float(f"{value:.{rng.integers(0, 15)}f}") + low
            for value, low in zip(rng.uniform(0, 9, 4), (0, 0, 1, 1), strict=True)
        )
        for _ in range(200)
    ]
    found = coco(NAMES, boxes=boxes)
    path = dataset(tmp_path, found)
    to_txt(path)
    to_json(path.with_suffix(".txt"), out=str(tmp_path / "back.json"), image_root=str(tmp_path))
    back = json.loads((tmp_path / "back.json").read_text())
    assert [a["bbox"] for a in back["annotations"]] == [a["bbox"] for a in found["annotations"]]
    assert len(read_coco(str(tmp_path / "back.json"))) == 3


def test_training_reads_the_same_from_either(tmp_path):
    path = dataset(tmp_path)
    before = open_dataset(tmp_path, "test", "boxes").frames
    to_txt(path)
    path.unlink()
    for frame, old in zip(open_dataset(tmp_path, "test", "boxes").frames, before, strict=True):
        assert (frame.image, frame.number, len(frame.boxes)) == (old.image, old.number, len(old.boxes))
        assert np.allclose(frame.boxes, old.boxes, rtol=0, atol=1e-12)
    to_json(path.with_suffix(".txt"))
    assert [frame.boxes for frame in open_dataset(tmp_path, "test", "boxes").frames] == [f.boxes for f in before]


def test_frames_without_targets_only(tmp_path):
    path = dataset(tmp_path, coco(NAMES, boxes=()))
    to_txt(path)
    assert "every image counts as one without targets" in to_json(path.with_suffix(".txt"), overwrite=True)[1]
    assert json.loads(path.read_text()) == coco(NAMES, boxes=())


# --- what a txt cannot hold ------------------------------------------------------------------------------------------


def test_what_is_lost_is_named_with_its_count(tmp_path):
    found = content(track_id=0, snr=2.5)
    found["annotations"][0] |= {"iscrowd": 1, "segmentation": [[1, 2, 3, 4, 5, 6]], "area": 0.5}
    found |= {"info": {}, "categories": [{"id": 4, "name": "sea bird", "supercategory": "bird"}, {"id": 2}, {"id": 1}]}
    found["images"][1]["id"] = 77
    _, line = to_txt(dataset(tmp_path, found))
    assert line.startswith("left out, as txt lines cannot hold it: ")
    assert set(line.split(": ", 1)[1].split("; ")) == {
        "width (3 images)",
        "height (3 images)",
        "area (1 annotations)",
        "regions to ignore, with their boxes (1 annotations)",
        "segmentation (1 annotations)",
        "track_id (3 annotations)",
        "snr (3 annotations)",
        "info",
        "supercategory (1 categories)",
        "id (3 images, counted from 1 on the way back)",
        "id (3 categories, counted from 1 on the way back)",
        "name (3 categories",
        "txt_to_coco puts them back with `--names '' '' 'sea bird'`)",
    }


def test_nothing_lost_nothing_said(tmp_path):
    found = content(supercategory="none")
    found["categories"] = [{"id": 1}, {"id": 2}]
    found["images"] = [{"id": image["id"], "file_name": image["file_name"]} for image in found["images"]]
    path = dataset(tmp_path, found)
    said = to_txt(path)
    assert len(said) == 2 and said[1].startswith("not checked for boxes outside of them: 3 images")
    assert len(to_txt(path, image_root=str(tmp_path), overwrite=True)) == 1


# --- the real data, and as commands ----------------------------------------------------------------------------------


@pytest.mark.parametrize("split, sequences", [("train", 3), ("test", 2)])
def test_real_daub_there_and_back(tmp_path, split, sequences):
    root = real_data("DAUB-mini")
    path = root / "annotations" / f"instances_{split}2017.json"
    to_txt(path, out=str(tmp_path / "a.txt"))
    to_json(tmp_path / "a.txt", names=["target"], image_root=str(root))
    to_txt(tmp_path / "a.json", out=str(tmp_path / "b.txt"))
    assert (tmp_path / "a.txt").read_bytes() == (tmp_path / "b.txt").read_bytes()
    before, after = (json.loads(p.read_text()) for p in (path, tmp_path / "a.json"))
    for item in before["annotations"]:
        assert item.pop("segmentation") == [[]]
    for item in after["annotations"]:
        assert item.pop("segmentation") == []
    assert before["images"] == after["images"] and before["annotations"] == after["annotations"]
    assert len({Path(image["file_name"]).parent for image in after["images"]}) == sequences


def test_real_daub_through_masks(tmp_path):
    root, part = real_data("DAUB-mini"), "images/test/data20"
    found = json.loads((root / "annotations/instances_test2017.json").read_text())
    found["images"] = [image for image in found["images"] if image["file_name"].startswith(part)]
    ids = {image["id"] for image in found["images"]}
    found["annotations"] = [item for item in found["annotations"] if item["image_id"] in ids]
    path = write_text(tmp_path / "data/annotations/instances_test2017.json", json.dumps(found))
    shutil.copytree(root / part, tmp_path / "data" / part)
    boxes_to_masks.convert(str(tmp_path / "data"), method="box", quiet=True)
    masks_to_coco.convert(str(tmp_path / "data"), "test", out=str(tmp_path / "json"), quiet=True)
    before, after = read_coco(str(path)), read_coco(str(tmp_path / "json/instances_test.json"))
    assert len(before) == 101 and {e.path: e.boxes for e in after} == {e.path: e.boxes for e in before}


@pytest.mark.parametrize("name", ["coco_to_txt", "txt_to_coco", "csv_to_coco"])
def test_commands_run_both_ways(tmp_path, name):
    def run(folder, *words):
        return subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=folder)

    shown = run(tmp_path, str(ROOT / f"utils_coco/{name}.py"), "--help")
    assert shown.returncode == 0 and "--overwrite" in shown.stdout
    absent = ["none"] if name != "csv_to_coco" else ["--labels", "no", "--videos", "no", "--out", str(tmp_path / "x")]
    for words in (absent, ["--image-rot", "x"]):
        done = run(ROOT, "-m", f"utils_coco.{name}", *words)
        assert done.returncode == 2 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert written(tmp_path) == []


def test_main_prints_what_it_did(tmp_path, capsys):
    path = write_coco(tmp_path / "annotations/instances_train.json", NAMES)
    coco_to_txt.main([str(path), "--out", str(tmp_path / "train.txt")])
    dataset(tmp_path)
    txt_to_coco.main([str(tmp_path / "train.txt"), "--names", "drone", "--quiet"])
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 3 and out[2].endswith("train.json: 3 images, 3 boxes (0 images without), categories drone")
    with pytest.raises(UserError, match="unrecognized"):
        coco_to_txt.main([str(path), "--image", "x"])
