"""COCO json ⇄ txt lines: what survives, what is named as lost, and what stops a conversion."""
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from trees import SIZE, coco, real_data, target_mask, write, write_coco, write_pairs, write_text

from utils.annotations import read_coco, read_lines
from utils.datasets import open_dataset
from utils.errors import UserError
from utils_coco import boxes_to_masks, coco_to_txt, masks_to_coco, txt_to_coco

ROOT = Path(__file__).parents[1]
NAMES = ["images/test/a b/0.png", "images/test/a b/1.png", "images/test/c/7.png"]
BOXES = {0: [(0.1, 0.2, 0.2, 0.1), (1.3333333333333333, 2, 17.1, 3.123456789)], 2: [(30, 20.5, 2.5, 3.5)]}


def content(**extra):
    """Three images of two classes, the second image without boxes; ids in the order of the images."""
    found = coco(NAMES, boxes=())
    found["annotations"] = [{"id": i + 1, "image_id": image + 1, "category_id": 1 + i % 2, "bbox": list(box),
                             "area": box[2] * box[3], "iscrowd": 0, "segmentation": [], **extra}
                            for i, (image, box) in enumerate((k, box) for k, rows in BOXES.items() for box in rows)]
    found["categories"] = [{"id": 1, "name": "drone"}, {"id": 2, "name": "sea bird"}]
    return found


def dataset(root, found=None):
    """A dataset whose annotations are `found`; returns the json's path."""
    for i, name in enumerate(NAMES):
        write(root / name, np.full(SIZE, i, np.uint8))
    return write_text(root / "annotations/instances_test2017.json", json.dumps(found or content()))


def to_txt(path, **options):
    return coco_to_txt.convert(str(path), **options)


def to_json(path, **options):
    return txt_to_coco.convert(str(path), quiet=True, **options)


def written(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


# --- there and back --------------------------------------------------------------------------------------------------

def test_json_to_txt_to_json(tmp_path):
    path = dataset(tmp_path)
    assert to_txt(path)[0].endswith("instances_test2017.txt: 3 images, 3 boxes (1 images without)")
    assert path.with_suffix(".txt").read_text().splitlines() == [
        "images/test/a b/0.png 0.1,0.2,0.3,0.3,0 1.3333333333333333,2,18.4333333333333333,5.123456789,1",
        "images/test/a b/1.png", "images/test/c/7.png 30,20.5,32.5,24,0"]
    to_json(path.with_suffix(".txt"), names=["drone", "sea bird"], out=str(tmp_path / "back.json"))
    before, after = (json.loads(p.read_text()) for p in (path, tmp_path / "back.json"))
    for item in before["annotations"] + after["annotations"]:
        item["area"] = pytest.approx(item["bbox"][2] * item["bbox"][3])
    assert after == before


def test_txt_to_json_to_txt(tmp_path):
    dataset(tmp_path).unlink()
    lines = ["images/test/c/7.png 1e-1,2.50,3.123456789012345,4,3", "images/test/a b/1.png",
             "images/test/a b/0.png -0.5,0,32.5,24,0 5,5,6,6,0"]
    path = write_text(tmp_path / "annotations/test.txt", "\r\n".join(lines) + "\r\n\r\n", "utf-16")
    assert to_json(path)[0].endswith("categories class0, class1, class2, class3 (txt lines hold no names; give them "
                                     "with --names)")
    to_txt(path.with_suffix(".json"), out=str(tmp_path / "back.txt"))
    plain = lines[0].replace("1e-1", "0.1").replace("2.50", "2.5")
    assert (tmp_path / "back.txt").read_text().splitlines() == [plain, *lines[1:]]
    assert read_lines(str(tmp_path / "back.txt")) == read_lines(str(path))
    assert json.loads(path.with_suffix(".json").read_text())["images"][0] == \
        {"id": 1, "file_name": "images/test/c/7.png", "width": SIZE[1], "height": SIZE[0]}


def test_random_decimals_survive(tmp_path):
    rng = np.random.default_rng(3)
    boxes = [tuple(float(f"{value:.{rng.integers(0, 15)}f}") + low for value, low in
                   zip(rng.uniform(0, 9, 4), (0, 0, 1, 1), strict=True)) for _ in range(200)]
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
        "width (3 images)", "height (3 images)", "area (1 annotations)", "iscrowd (1 annotations)",
        "segmentation (1 annotations)", "track_id (3 annotations)", "snr (3 annotations)", "info",
        "supercategory (1 categories)", "id (3 images, counted from 1 on the way back)",
        "id (3 categories, counted from 1 on the way back)",
        "name (3 categories", "txt_to_coco puts them back with `--names '' '' 'sea bird'`)"}


def test_nothing_lost_nothing_said(tmp_path):
    found = content(supercategory="none")
    found["categories"] = [{"id": 1}, {"id": 2}]
    found["images"] = [{"id": image["id"], "file_name": image["file_name"]} for image in found["images"]]
    path = dataset(tmp_path, found)
    said = to_txt(path)
    assert len(said) == 2 and said[1].startswith("not checked for boxes outside of them: 3 images")
    assert len(to_txt(path, image_root=str(tmp_path), overwrite=True)) == 1


# --- other roots -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("start, slash", [("/home/x/DAUB/images/test/", "/"), ("D:\\data\\DAUB\\images\\test\\", "\\"),
                                          ("images\\test\\", "\\"), ("test/", "/"), ("", "/"), ("./images/test/", "/")])
def test_image_root_renames(tmp_path, start, slash):
    found = content()
    for image, name in zip(found["images"], NAMES, strict=True):
        image["file_name"] = start + name.removeprefix("images/test/").replace("/", slash)
    path = dataset(tmp_path / "data", found)
    out = tmp_path / "out" / "test.txt"
    to_txt(path, out=str(out), image_root=str(tmp_path / "data"))
    assert [entry.path for entry in read_lines(str(out))] == NAMES
    to_txt(path, out=str(out), overwrite=True)
    assert [entry.path for entry in read_lines(str(out))] == [image["file_name"] for image in found["images"]]
    to_json(out, image_root=str(tmp_path / "data"))
    assert [entry.path for entry in read_coco(str(out.with_suffix(".json")))] == NAMES
    to_txt(path, out=str(out), image_root=str(tmp_path / "data"), absolute=True, overwrite=True)
    assert [entry.path for entry in read_lines(str(out))] == [(tmp_path / "data" / name).as_posix() for name in NAMES]


def test_missing_images_and_folders(tmp_path):
    path = dataset(tmp_path / "data")
    to_txt(path)
    alone = write_text(tmp_path / "alone" / "test.txt", path.with_suffix(".txt").read_text())
    stops(alone, "lies in no dataset's folder", "--image-root")
    stops(alone, "no such folder", image_root=str(tmp_path / "nowhere"))
    (tmp_path / "data" / NAMES[1]).unlink()
    for source in (path, alone):
        stops(source, NAMES[1], "no such image", "first of 1", image_root=str(tmp_path / "data"))
    write_text(tmp_path / "data" / NAMES[1], "no picture")
    stops(alone, NAMES[1], "not a readable image", image_root=str(tmp_path / "data"))
    stops(path, "--absolute", "--image-root", absolute=True)


# --- bad input -------------------------------------------------------------------------------------------------------

def stops(path, *parts, **options):
    """Converting raises one line that has all of `parts`, and leaves the files as they were."""
    before = {name: name.read_bytes() for name in path.parent.rglob("*") if name.is_file()}
    out = path.parent / "out.file"
    with pytest.raises(UserError) as caught:
        (to_txt if path.suffix == ".json" else to_json)(path, **{"out": str(out), **options})
    assert all(part in str(caught.value) for part in parts) and "\n" not in str(caught.value), caught.value
    assert {name: name.read_bytes() for name in path.parent.rglob("*") if name.is_file()} == before


def changed(part, place, **values):
    found = content()
    found[part][place] |= values
    return found


@pytest.mark.parametrize("found, parts", [
    ({key: value for key, value in content().items() if key != "categories"}, ["no list 'categories'"]),
    (changed("categories", 0, id="drone"), ["integer", '"drone"']),
    (changed("images", 1, id=2.0), ["integer", "2.0"]),
    (changed("annotations", 1, category_id=3), ["category 3", "not among"]),
    (changed("annotations", 1, image_id=9), ["image 9", "not among"]),
    (changed("images", 1, file_name=NAMES[0]), [NAMES[0], "twice"]),
    (changed("annotations", 0, bbox=[1, 2, 0, 3]), [NAMES[0], "of no area"]),
    (changed("annotations", 0, bbox=[1, 2, "3", 3]), [NAMES[0], "of no area"]),
    (changed("annotations", 2, bbox=[30, 20, 4, 3]), [NAMES[2], "outside the image of 32x24"]),
    (changed("annotations", 2, bbox=[1, 2, 3]), ["not enough values"]),
    (changed("images", 0, file_name="a\nb.png"), ["'a\\nb.png'", "line breaks"]),
    (changed("images", 1, file_name="b 1,2,3,4,0"), ["'b 1,2,3,4,0'", "does not end like a box"]),
    (changed("images", 1, file_name="b.png 1,2,3"), ["'b.png 1,2,3'", "rename"]),
    (changed("images", 1, file_name=" b.png"), ["' b.png'", "rename"]),
])
def test_bad_json(tmp_path, found, parts):
    stops(dataset(tmp_path, found), "instances_test2017.json", *parts)


def test_same_image_under_two_names(tmp_path):
    path = dataset(tmp_path, changed("images", 1, file_name="/old/" + NAMES[0]))
    stops(path, NAMES[0], "twice", image_root=str(tmp_path))


def test_sizes_from_files_check_boxes(tmp_path):
    found = changed("annotations", 2, bbox=[30, 20, 4, 3])
    for image in found["images"]:
        del image["width"]
    path = dataset(tmp_path, found)
    stops(path, "outside the image of 32x24", image_root=str(tmp_path))


@pytest.mark.parametrize("cut", [0.2, 0.6, 0.99])
def test_truncated_json(tmp_path, cut):
    path = dataset(tmp_path)
    path.write_text(path.read_text()[: int(len(path.read_text()) * cut)])
    stops(path, "not json")


@pytest.mark.parametrize("line, parts", [
    ("images/test/a b/0.png 1,2,3,4", ["line 2", "'1,2,3,4'", "expected boxes x1,y1,x2,y2,class"]),
    ("images/test/a b/0.png 1,2,3,4,0 5,6,7", ["line 2", "5,6,7"]),
    ("images/test/a b/0.png 1,2,x,4,0 5,6,7,8,0", ["line 2", "1,2,x,4,0"]),
    ("images/test/a b/0.png 1,2,3,4,0.5", ["line 2", "0.5"]),
    ("images/test/a b/0.png 1,2,3,4,-1", ["line 2", "-1"]),
    ("images/test/a b/0.png 1 2 3 4 0", ["line 2", "1 2 3 4 0"]),
    ("test/a b/0 1,2,3,4", ["line 2", "1,2,3,4"]),
    ("images/test/a b/0.png 4,2,3,4,0", [NAMES[0], "of no area"]),
    ("images/test/a b/0.png 1,2,3,40,0", [NAMES[0], "outside the image of 32x24"]),
    ("images/test/a b/0.png 1,2,3,4,1000", ["class 1000", "0 to 999"]),
    ("images/test/c/7.png 1,2,3,4,0", [NAMES[2], "several lines"]),
    ("test/c/7.png 1,2,3,4,0", [NAMES[2], "twice"]),
    ("images/test/c/8.png 1,2,3,4,0", ["c/8.png", "no such image"]),
    ("../c/7.png 1,2,3,4,0", ["leads out of the dataset"]),
])
def test_bad_lines(tmp_path, line, parts):
    dataset(tmp_path)
    stops(write_text(tmp_path / "test.txt", f"images/test/c/7.png 1,1,2,2,0\n{line}\n"), *parts)


def test_bad_files_and_names(tmp_path):
    path = dataset(tmp_path)
    to_txt(path)
    txt = path.with_suffix(".txt")
    stops(txt, "class 1", "0 to 0", "--names", names=["drone"])
    stops(txt, "every name once", names=["a", "a"])
    stops(write_text(tmp_path / "empty.txt", "\n"), "empty list")
    stops(tmp_path / "none.txt", "cannot be read")
    stops(tmp_path / "none.json", "cannot be read")
    stops(txt, "--overwrite", out=str(path))
    stops(path, "--overwrite", out=str(txt))
    stops(path, "is the list to convert", out=str(path), overwrite=True)
    stops(path, "a folder already", out=str(tmp_path / "images"), overwrite=True)
    stops(path, "cannot be written", out=str(txt / "below" / "x.txt"))
    stops(write_text(tmp_path / "binary.txt", "\xff", "latin-1"), "not a text file")
    with pytest.raises(UserError, match="coco_to_txt"):
        to_json(path)


def test_a_broken_mask_leaves_no_json_behind(tmp_path):
    root = write_pairs(tmp_path, ["a/0", "b/0"])
    write_text(root / "train.txt", "a/0\n")
    write_text(root / "test.txt", "b/0\n")
    write(root / "masks/b/0.png", target_mask((24, 90)))
    before = written(root)
    with pytest.raises(UserError, match="aspect"):
        masks_to_coco.convert(str(root), quiet=True)
    assert written(root) == before


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
