"""Boxes from masks, masks from boxes, and the two commands that convert datasets."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from scripts import ROOT
from trees import coco, picture, real_data, target_mask, touch, write, write_coco, write_pairs, write_text

from utils.datasets.dataset import open_dataset
from utils.images.box_masks import boxes_of_mask, convert_boxes, half_max_mask, mask_of_boxes
from utils.images.boxes import box_problem
from utils.images.image_files import read_frame
from utils.images.masks.values import read_mask
from utils.system.errors import UserError
from utils_coco import boxes_to_masks, masks_to_coco

# --- boxes of masks --------------------------------------------------------------------------------------------------


def test_boxes_are_right_exclusive_and_in_raster_order():
    mask = np.zeros((12, 16), bool)
    mask[8:10, 1:4] = True
    mask[1, 10] = True
    mask[3, 2] = mask[4, 3] = True  # a corner contact is one component
    boxes = boxes_of_mask(mask)
    assert boxes.dtype == np.float64
    assert boxes.tolist() == [[10, 1, 11, 2], [2, 3, 4, 5], [1, 8, 4, 10]]
    assert boxes_of_mask(np.zeros((4, 5), bool)).shape == (0, 4)
    assert boxes_of_mask(np.ones((4, 5), bool)).tolist() == [[0, 0, 5, 4]]


def test_filled_boxes_give_their_boxes_back():
    boxes = [[2, 1, 5, 4], [10, 6, 12, 12], [0, 9, 3, 10]]
    mask = mask_of_boxes(np.zeros((12, 16)), boxes, "box")
    assert sorted(boxes_of_mask(mask).tolist()) == sorted(boxes)
    assert mask.sum() == 9 + 12 + 3


# --- masks of boxes --------------------------------------------------------------------------------------------------


def scene(targets, sign=1, sigma=1.0, noise=2.0, size=(64, 64), dtype=np.uint8, seed=0):
    """Noise of deviation `noise` around 100, and Gaussian targets at (x, y) of a peak of 60."""
    rng = np.random.default_rng(seed)
    image = 100 + noise * rng.standard_normal(size)
    rows, columns = np.mgrid[: size[0], : size[1]]
    for x, y in targets:
        image += sign * 60 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
    return np.clip(image * (200 if dtype == np.uint16 else 1), 0, 65535).round().astype(dtype)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    "centre, box",
    [((30, 20), (26, 16, 34, 24)), ((29, 20), (26, 16, 34, 24)), ((1, 0), (0, 0, 5, 4)), ((63, 62), (60, 59, 64, 64))],
)
def test_half_max_finds_the_half_maximum(sign, dtype, centre, box):
    image = scene([centre], sign, sigma=1.5, dtype=dtype)
    mask, fallbacks = convert_boxes(image, [box], dilate=False)
    rows, columns = np.mgrid[:64, :64]
    distance = np.hypot(columns - centre[0], rows - centre[1])
    half = 1.5 * np.sqrt(2 * np.log(2))  # radius at which a Gaussian has half of its peak
    assert not fallbacks
    assert mask[distance <= half - 0.25].all() and not mask[distance > half + 0.25].any()


def test_half_max_gives_about_ten_pixels_for_point_targets():
    areas = [
        mask_of_boxes(scene([(30 + dx, 20 + dy)], sigma=0.6, seed=i), [(27, 17, 34, 24)]).sum()
        for i, (dx, dy) in enumerate([(0, 0), (0.5, 0), (0.5, 0.5), (-0.5, 0.75), (0.25, 0.25)])
    ]
    assert 7 <= np.mean(areas) <= 13 and min(areas) >= 5 and max(areas) <= 14


def test_a_single_pixel_gets_a_neighbour():
    image = np.full((40, 40), 50, np.uint8)
    image[20, 20], image[20, 21] = 200, 70
    mask, _ = convert_boxes(image, [(17, 17, 25, 25)], dilate=False)
    assert np.argwhere(mask).tolist() == [[20, 20], [20, 21]]
    assert convert_boxes(image, [(17, 17, 25, 25)])[0].sum() == 8


def test_a_bright_edge_beside_the_target_is_left_out():
    image = scene([(30, 20)], sigma=0.8, noise=1)
    image[:17] = 140  # a roof, two pixels above the target, that reaches into the box
    mask, _ = convert_boxes(image, [(26, 16, 34, 24)], dilate=False)
    assert mask[20, 30] and not mask[:18].any() and mask.sum() <= 9


def test_a_mask_stays_at_its_box():
    image = np.full((40, 40), 50, np.uint8)
    image[10:30, 10:30] = 200  # far larger than the box
    mask, _ = convert_boxes(image, [(16, 16, 24, 24)], dilate=False)
    assert not mask[:15].any() and not mask[25:].any() and not mask[:, :15].any() and not mask[:, 25:].any()


def test_targets_close_to_each_other_are_no_background():
    targets = [(20, 20), (27, 20), (20, 27)]
    boxes = [(x - 4, y - 4, x + 4, y + 4) for x, y in targets]
    mask, fallbacks = convert_boxes(scene(targets, sigma=1), boxes, dilate=False)
    assert not fallbacks and len(boxes_of_mask(mask)) == 3
    assert all(mask[y, x] for x, y in targets)


@pytest.mark.parametrize("image", [np.full((30, 30), 90, np.uint8), picture(3, (30, 30))])
@pytest.mark.parametrize(
    "box, expected", [((10, 10, 18, 18), (13, 13)), ((0, 0, 3, 3), (1, 1)), ((27, 26, 30, 30), (28, 27))]
)
def test_hopeless_contrast_takes_the_centre(image, box, expected):
    targets = np.zeros(image.shape, bool)
    if image.std():  # drown the box in noise that its own pixels lack
        image = image.copy()
        image[box[1] : box[3], box[0] : box[2]] = int(np.median(image))
    mask, fell_back = half_max_mask(image, box, targets)
    assert fell_back and mask.sum() == 4
    rows, columns = np.nonzero(mask)
    assert (rows.min(), columns.min()) == (expected[1], expected[0])


def test_dilation_is_for_half_max_unless_told():
    image, box = scene([(30, 20)]), [(26, 16, 34, 24)]
    core, grown = (convert_boxes(image, box, dilate=flag)[0] for flag in (False, True))
    assert (convert_boxes(image, box)[0] == grown).all() and grown.sum() > core.sum()
    assert convert_boxes(image, box, "box")[0].sum() == 64
    assert convert_boxes(image, box, "box", dilate=True)[0].sum() == 64 + 4 * 8


def test_no_boxes_no_mask():
    assert not mask_of_boxes(scene([(30, 20)]), []).any()


@pytest.mark.parametrize(
    "box, problem",
    [
        ((5, 5, 5, 9), "no area"),
        ((5, 9, 8, 5), "no area"),
        ((np.nan, 1, 2, 2), "no area"),
        ((-4, 5, 4, 9), "outside"),
        ((60, 5, 70, 9), "outside"),
        ((100, 100, 108, 108), "outside"),
        ((5, -9, 8, -5), "outside"),
        ((0, 0, 64, 64), None),
        ((-0.5, 3, 4, 64.5), None),
    ],
)
def test_box_problems(box, problem):
    found = box_problem(box, (64, 64))
    assert found is None if problem is None else problem in found
    if problem:
        with pytest.raises(ValueError, match=problem):
            mask_of_boxes(np.zeros((64, 64)), [box])


def test_unknown_method():
    with pytest.raises(ValueError, match="half-max, box"):
        mask_of_boxes(np.zeros((8, 8)), [], "otsu")


def test_real_masks_are_small_and_at_the_box():
    areas, offsets = [], []
    for frame in open_dataset(real_data("DAUB-mini"), "train", "boxes").frames[::10]:
        mask = mask_of_boxes(read_frame(frame.image), frame.boxes)
        x1, y1, x2, y2, _ = frame.boxes[0]
        rows, columns = np.nonzero(mask)
        areas.append(len(rows))
        offsets.append(np.hypot(rows.mean() - (y1 + y2 - 1) / 2, columns.mean() - (x1 + x2 - 1) / 2))
    assert 7 <= np.mean(areas) <= 12 and max(areas) <= 25
    assert np.mean(offsets) < 1 and max(offsets) < 3


# --- boxes_to_masks --------------------------------------------------------------------------------------------------


def boxed(root, layout="images/{part}/data{n}/{i}.bmp"):
    """Two splits of three frames with a bright target in the box; the last of each is empty."""
    for part, n in (("train", 5), ("test", 6)):
        names = [layout.format(part=part, n=n, i=i) for i in range(3)]
        content = coco(names, [(26, 16, 8, 8)], size=(64, 64))
        content["annotations"] = content["annotations"][:2]
        write_text(root / f"annotations/instances_{part}2017.json", json.dumps(content))
        for i, name in enumerate(names):
            write(root / name, scene([(30, 20)] if i < 2 else [], seed=i))
    return root


def areas_of(dataset):
    return [int(read_mask(frame.mask).sum()) for frame in dataset.frames]


def test_boxes_become_masks_in_place(tmp_path):
    root = boxed(tmp_path)
    line, *_ = boxes_to_masks.convert(str(root), quiet=True)
    assert "6 masks" in line and "4 targets" in line and "0 too faint" in line
    for part, n in (("train", 5), ("test", 6)):
        dataset = open_dataset(root, part, "masks")
        assert [Path(frame.mask).relative_to(root).as_posix() for frame in dataset.frames] == [
            f"masks/{part}/data{n}/{i}.png" for i in range(3)
        ]
        first, second, empty = areas_of(dataset)
        assert 5 <= first <= 25 and 5 <= second <= 25 and empty == 0
        assert [len(frame.boxes) for frame in dataset.frames] == [1, 1, 0]


def test_masks_of_a_single_frame_dataset_and_of_filled_boxes(tmp_path):
    root = boxed(tmp_path, "images/{part}_{n}_{i}.png")
    boxes_to_masks.convert(str(root), method="box", quiet=True)
    assert areas_of(open_dataset(root, "train")) == [64, 64, 0]


def test_masks_elsewhere_leave_the_data_alone(tmp_path):
    root, out = boxed(tmp_path / "data"), tmp_path / "made" / "set"
    write_text(root / "train.txt", "data5/0.bmp\ndata5/2.bmp\n")
    (root / "images/train/data5").rename(tmp_path / "elsewhere")  # people link sequences into place
    (root / "images/train/data5").symlink_to(tmp_path / "elsewhere")
    before = sorted(root.rglob("*"))
    boxes_to_masks.convert(str(root), str(out), quiet=True)
    assert [frame.number for frame in open_dataset(out, "train", "masks").frames] == [0, 2]
    with pytest.raises(UserError, match="--overwrite"):
        boxes_to_masks.convert(str(root), str(out), quiet=True)
    boxes_to_masks.convert(str(root), str(out), method="box", overwrite=True, quiet=True)
    assert areas_of(open_dataset(out, "test")) == [64, 64, 0]
    assert not [path for path in out.rglob("*") if path.is_symlink()]
    (out / "train.txt").write_text("data5/0.bmp\n")
    with pytest.raises(UserError, match="train.txt: already there"):
        boxes_to_masks.convert(str(root), str(out), overwrite=True, quiet=True)
    shutil.rmtree(out)
    assert sorted(root.rglob("*")) == before


def test_links_on_request(tmp_path):
    root, out = boxed(tmp_path / "data"), tmp_path / "made"
    for _ in range(2):
        boxes_to_masks.convert(str(root), str(out), overwrite=True, quiet=True, link=True)
        assert (out / "images").is_symlink() and not (out / "masks").is_symlink()
    assert len(open_dataset(out, "train", "masks").frames) == 3
    with pytest.raises(UserError, match="already there"):
        boxes_to_masks.convert(str(root), str(out), overwrite=True, quiet=True)


def test_existing_masks_are_kept(tmp_path):
    root = boxed(tmp_path)
    write(root / "masks/train/data5/0.png", target_mask((64, 64)))
    with pytest.raises(UserError, match="1 masks already"):
        boxes_to_masks.convert(str(root), quiet=True)
    assert [path.name for path in (root / "masks").rglob("*.png")] == ["0.png"]
    assert (read_mask(root / "masks/train/data5/0.png") == (target_mask((64, 64)) > 0)).all()


def test_conversion_stops_at_bad_input(tmp_path):
    root = boxed(tmp_path / "a")
    write_coco(root / "annotations/instances_train2017.json", ["images/train/data5/0.bmp"], [(60, 60, 8, 8)], (64, 64))
    with pytest.raises(UserError, match="outside the image.*--cut"):
        boxes_to_masks.convert(str(root), quiet=True)
    bare = write_pairs(tmp_path / "b", ["x/0"])
    write_text(bare / "train.txt", "x/0")
    with pytest.raises(UserError, match="masks_to_coco"):
        boxes_to_masks.convert(str(bare), quiet=True)
    with pytest.raises(UserError, match="another --out"):
        boxes_to_masks.convert(str(boxed(tmp_path / "c")), str(tmp_path / "c" / "inside"), quiet=True)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="an administrator may write everywhere")
def test_read_only_data_asks_for_out(tmp_path):
    root = boxed(tmp_path)
    root.chmod(0o555)
    try:
        with pytest.raises(UserError, match="--out DIR"):
            boxes_to_masks.convert(str(root), quiet=True)
    finally:
        root.chmod(0o755)


def test_folder_that_cannot_be_written_asks_for_out(tmp_path):
    root = boxed(tmp_path)
    touch(root, ["masks"])  # a file where the folder should be
    with pytest.raises(UserError, match="--out DIR"):
        boxes_to_masks.convert(str(root), quiet=True)


# --- masks_to_coco ---------------------------------------------------------------------------------------------------


def masked(root):
    write_pairs(root, [f"a/{i}" for i in range(3)] + ["b/0"], empty=["a/1"])
    write_text(root / "train.txt", "a/0\na/1\na/2\n")
    write_text(root / "test.txt", "b/0\n")
    return root


def test_masks_become_boxes(tmp_path):
    root = masked(tmp_path)
    lines = masks_to_coco.convert(str(root), quiet=True)
    assert len(lines) == 2 and "3 images, 2 boxes (1 images without)" in lines[0]
    content = json.loads((root / "annotations/instances_train.json").read_text())
    assert [image["file_name"] for image in content["images"]] == [f"images/a/{i}.png" for i in range(3)]
    assert content["categories"] == [{"id": 1, "name": "target"}]
    assert [(a["image_id"], a["bbox"], a["category_id"]) for a in content["annotations"]] == [
        (1, [12, 10, 3, 3], 1),
        (3, [12, 10, 3, 3], 1),
    ]
    dataset = open_dataset(root, "train", "boxes")
    assert [frame.boxes for frame in dataset.frames] == [((12, 10, 15, 13, 0),), (), ((12, 10, 15, 13, 0),)]


def test_pycocotools_reads_it(tmp_path, capsys):
    from pycocotools.coco import COCO

    masks_to_coco.convert(str(masked(tmp_path)), "train", quiet=True)
    found = COCO(str(tmp_path / "annotations/instances_train.json"))
    capsys.readouterr()
    assert sorted(found.getImgIds()) == [1, 2, 3] and len(found.getAnnIds()) == 2


def test_boxes_follow_a_resized_mask(tmp_path):
    write(tmp_path / "images/a/0.png", picture(0, (24, 32)))
    write(tmp_path / "masks/a/0.png", target_mask((48, 64), at=(20, 24), side=6))
    masks_to_coco.convert(str(tmp_path), "all", quiet=True)
    assert open_dataset(tmp_path, "all", "boxes").frames[0].boxes == ((12, 10, 15, 13, 0),)


def test_one_split_only_and_unknown_splits(tmp_path):
    root = masked(tmp_path / "a")
    (root / "test.txt").unlink()
    lines = masks_to_coco.convert(str(root), quiet=True)
    assert [line.startswith("left out") for line in lines] == [True, False]
    with pytest.raises(UserError, match="test.txt"):
        masks_to_coco.convert(str(root), "test", str(tmp_path / "json"), quiet=True)
    bare = write_pairs(tmp_path / "b", ["x/0"])
    with pytest.raises(UserError, match="train.txt"):
        masks_to_coco.convert(str(bare), quiet=True)


def test_broken_masks_are_not_left_out(tmp_path):
    root = masked(tmp_path)
    (root / "masks/b/0.png").unlink()
    with pytest.raises(UserError, match="image without a mask"):
        masks_to_coco.convert(str(root), quiet=True)


def test_existing_boxes_are_kept(tmp_path):
    root = masked(tmp_path)
    path = write_coco(root / "annotations/instances_train2017.json", [f"images/a/{i}.png" for i in range(3)])
    with pytest.raises(UserError, match="boxes already"):
        masks_to_coco.convert(str(root), quiet=True)
    masks_to_coco.convert(str(root), "train", str(tmp_path / "json"), quiet=True)
    with pytest.raises(UserError, match="--overwrite"):
        masks_to_coco.convert(str(root), "train", str(tmp_path / "json"), quiet=True)
    assert path.exists()


def test_there_and_back(tmp_path):
    root = boxed(tmp_path)
    before = [frame.boxes for frame in open_dataset(root, "all", "boxes").frames]
    boxes_to_masks.convert(str(root), method="box", quiet=True)
    masks_to_coco.convert(str(root), overwrite=True, out=str(root / "annotations"), quiet=True)
    for path in (root / "annotations").glob("*2017.json"):
        path.unlink()
    assert [frame.boxes for frame in open_dataset(root, "all", "boxes").frames] == before


# --- as commands -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "utils_coco.boxes_to_masks"],
        ["-m", "utils_coco.masks_to_coco"],
        [str(ROOT / "utils_coco/boxes_to_masks.py")],
        [str(ROOT / "utils_coco/masks_to_coco.py")],
    ],
)
def test_commands_run_both_ways(tmp_path, command):
    def run(*words):
        return subprocess.run(
            [sys.executable, *command, *words],
            capture_output=True,
            text=True,
            cwd=ROOT if command[0] == "-m" else tmp_path,
        )

    shown = run("--help")
    assert shown.returncode == 0 and "--data-root" in shown.stdout
    missing = run("--data-root", str(tmp_path / "missing"))
    assert missing.returncode == 2 and missing.stderr.startswith("error: ") and missing.stderr.count("\n") == 1
    unknown = run("--data-rot", "x")
    assert unknown.returncode == 2 and unknown.stderr.startswith("error: ") and unknown.stderr.count("\n") == 1


def test_progress_and_summary_of_the_command(tmp_path):
    root = boxed(tmp_path)
    words = ["--data-root", str(root), "--method", "box", "--dilate"]
    done = subprocess.run(
        [sys.executable, "-m", "utils_coco.boxes_to_masks", *words],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert "6/6" in done.stderr and done.stdout.count("\n") == 1 and "96.0 px" in done.stdout
    assert cv2.imread(str(root / "masks/test/data6/0.png"), cv2.IMREAD_UNCHANGED).max() == 255
