"""What the values of masks mean: decided for a dataset, over all its masks."""

import argparse

import cv2
import numpy as np
import pytest
from mask_files import COUNT, SIZE, discs, voc_colours, with_border, with_ring, write_masked, write_palette
from trees import target_mask, write, write_coco, write_text

from utils.checks import check
from utils.commands.describe import describe
from utils.datasets.dataset import join_datasets, open_dataset
from utils.datasets.frame_table import Frame, Sequences
from utils.datasets.quick_check import has_target, mask_paths, understand_masks
from utils.images.components import label
from utils.images.masks.meaning import look_over_masks, parse_ignore_value
from utils.images.masks.values import MaskRule, ignored_of, read_labels, read_mask, targets_of
from utils.system.errors import UserError
from utils.system.notices import warnings_given
from utils_coco.import_labels import convert as import_labels
from utils_coco.masks_to_coco import convert as masks_to_coco


def levels(*values, dtype=np.uint8):
    """A maker of masks whose two targets have these values."""
    return lambda targets, number: (targets[0] * values[0] + targets[1] * values[-1]).astype(dtype)


def colours(first, second):
    def make(targets, number):
        mask = np.zeros((*SIZE, 3), np.uint8)
        mask[targets[0]], mask[targets[1]] = first, second
        return mask

    return make


def alpha(level, sign=1, empty=()):
    """Masks of one grey `level` whose alpha channel marks the targets, or with sign -1 all else."""

    def make(targets, number):
        mask = np.full((*SIZE, 4), level, np.uint8)
        mask[..., 3] = (targets.any(0) if sign > 0 else ~targets.any(0)) * 255 * (number not in empty)
        return mask

    return make


def palette(*values, shades=None):
    def make(targets, number):
        indices = targets[0] * values[0] + targets[1] * values[-1]
        return lambda path: write_palette(path, indices, shades or voc_colours())

    return make


SAME_TARGETS = {
    "0 and 255": (levels(255), ".png"),
    "0 and 1": (levels(1), ".png"),
    "JPEG": (levels(255), ".jpg"),
    "BMP": (levels(255), ".bmp"),
    "numbers": (levels(1, 2), ".png"),
    "numbers in a BMP": (levels(1, 2), ".bmp"),
    "numbers in a TIFF": (levels(1, 2), ".tif"),
    "ids": (lambda targets, number: levels(number + 1, number + 7)(targets, number), ".png"),
    "ids of 16 bits": (levels(1, 26002, dtype=np.uint16), ".png"),
    "spread labels": (levels(85, 170), ".png"),
    "labels up to the full scale": (levels(50, 255), ".png"),
    "red and blue": (colours((0, 0, 255), (255, 0, 0)), ".png"),
    "dark colours": (colours((0, 0, 128), (0, 64, 0)), ".png"),
    "white with alpha": (alpha(255), ".png"),
    "black with alpha": (alpha(0), ".png"),
    "fractions": (levels(0.75, 1.0, dtype=np.float32), ".tif"),
    "palette": (palette(1, 15), ".png"),
    "palette, index of grey": (palette(7), ".png"),
    "palette without colours": (palette(1, 2, shades=[(0, 0, 0)]), ".png"),
    "palette of two greys": (palette(1, shades=[(0, 0, 0), (255, 255, 255)]), ".png"),
}


@pytest.mark.parametrize("kind", SAME_TARGETS)
def test_every_label_is_a_target(kind, tmp_path):
    root = write_masked(tmp_path, *SAME_TARGETS[kind])
    (part,) = understand_masks(open_dataset(root, "test"))
    for number, frame in enumerate(part.frames):
        mask = read_mask(frame.mask, SIZE, frame.mask_rule)
        assert (mask == discs(number).any(0)).all()
        assert len(label(mask)) == 2
    assert not [line for line in check(str(root), quiet=True)[0] if "pixels between" not in line]


def test_the_first_palette_index_is_background_only_where_it_is_black(tmp_path):
    shades = [(255, 255, 255), (255, 0, 0), (0, 0, 0)]
    path = write_palette(tmp_path / "x.png", np.where(discs(0).any(0), 0, 2), shades)
    assert (read_mask(path) == discs(0).any(0)).all()


def soft(targets, number):
    """Targets with blurred edges; of the third mask only a trace is left."""
    mask = cv2.GaussianBlur(targets.any(0) * np.uint8(255), (3, 3), 0)
    return mask // 20 if number == 2 else mask


def test_blurred_masks_count_above_half_of_the_datasets_largest_value(tmp_path):
    root = write_masked(tmp_path, soft)
    (part,) = understand_masks(open_dataset(root, "test"))
    for number, frame in enumerate(part.frames):
        wanted = soft(discs(number), number) > 127
        assert (read_mask(frame.mask, rule=frame.mask_rule) == wanted).all() and wanted.any() == (number != 2)
    assert any("2 masks hold faint values alone, at most 12 where others have 255" in line for line in warnings_given())
    assert any("002.png: values of at most 12, where other masks" in line for line in check(str(root), quiet=True)[0])


def faint(targets, number):
    mask = targets.any(0) * np.uint8(255)
    if number == 2:
        mask[:] = 0
        mask[5, 5], mask[20, 7] = 3, 1
    return mask


def test_a_few_faint_pixels_are_no_target_and_are_named(tmp_path):
    root = write_masked(tmp_path, faint)
    (part,) = understand_masks(open_dataset(root, "test"))
    counts = [int(read_mask(frame.mask, rule=frame.mask_rule).sum()) for frame in part.frames]
    assert counts[2] == 0 and all(counts[:2] + counts[3:])
    assert any("2 masks hold faint values alone, at most 3" in line for line in warnings_given())
    problems = check(str(root), quiet=True)[0]
    assert sum("values of at most 3" in line for line in problems) == 2


def in_folders(first, second):
    """Masks of sequence a by one maker, of b by another; they are told apart by the order in which they are made."""
    calls = iter(range(2 * COUNT))
    return lambda targets, number: (first if next(calls) < COUNT else second)(targets, number)


@pytest.mark.parametrize(
    ("maker", "reason"),
    [
        (lambda t, n: with_border(levels(1)(t, n), 255), "255 forms a border"),
        (lambda t, n: with_border(levels(1, 2, dtype=np.uint16)(t, n), 65535), "65535 forms a border"),
        (lambda t, n: with_ring(levels(1, 2)(t, n), 255), "255 forms a border"),
        (lambda t, n: with_border(levels(20, 33)(t, n), 255), "255 forms a border"),
        (palette(1, 255), "indices of a palette"),
        (levels(1, 255), "most masks hold small values apart from 255"),
        (in_folders(levels(1), levels(255)), "has small values alone"),
        (lambda t, n: levels(1 if n else 255)(t, n), "more masks hold small values alone than 255"),
    ],
)
def test_where_the_full_scale_may_be_ignored_the_masks_are_refused(maker, reason, tmp_path):
    root = write_masked(tmp_path, maker)
    with pytest.raises(UserError, match="whether (255|65535) is a target cannot be told; give --ignore-value") as error:
        understand_masks(open_dataset(root, "test"))
    assert reason in str(error.value)
    problems = check(str(root), quiet=True)[0]
    assert sum(reason in line and "--ignore-value" in line for line in problems) == 1
    assert not any("pixels between" in line or "values of at most" in line for line in problems)
    assert any("--ignore-value" in line for line in describe(str(root)))


def test_an_ignored_value_is_neither_target_nor_background(tmp_path):
    root = write_masked(tmp_path, lambda t, n: with_ring(levels(1, 2)(t, n), 255))
    (part,) = understand_masks(open_dataset(root, "test"), ignore=255)
    labels = read_labels(part.frames[1].mask, SIZE, part.frames[1].mask_rule)
    assert (targets_of(labels) == discs(1).any(0)).all()
    ring = cv2.dilate(discs(1).any(0).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    assert (ignored_of(labels) == (ring & ~discs(1).any(0))).all()
    assert check(str(root), quiet=True, ignore=255)[0] == []
    lines = masks_to_coco(str(root), ignore=255, quiet=True)
    assert len(lines) == 2 and all("12 boxes" in line for line in lines)


def test_none_is_ignored_on_request(tmp_path):
    root = write_masked(tmp_path, lambda t, n: with_border(levels(1)(t, n), 255))
    (part,) = understand_masks(open_dataset(root, "test"), ignore="none")
    assert (read_mask(part.frames[0].mask, rule=part.frames[0].mask_rule) == with_border(np.zeros(SIZE), 1)).all()
    assert warnings_given()


def test_an_ignored_value_that_no_mask_holds_is_named(tmp_path):
    understand_masks(open_dataset(write_masked(tmp_path, levels(1)), "test"), ignore=7)
    assert any("--ignore-value 7: none of 12 masks holds this value" in line for line in warnings_given())


def test_a_border_of_the_only_value_is_named(tmp_path):
    root = write_masked(tmp_path, lambda t, n: with_border(np.zeros(SIZE, np.uint8), 255))
    understand_masks(open_dataset(root, "test"))
    assert any("255 forms a border along the edge of 12 masks" in line for line in warnings_given())
    assert any("255 forms a border" in line for line in check(str(root), quiet=True)[0])


INVERTED = {
    "0 and 255": lambda t, n: 255 - levels(255)(t, n),
    "0 and 1": lambda t, n: 1 - levels(1)(t, n),
    "labels": lambda t, n: 3 - levels(1, 2)(t, n),
    "JPEG": lambda t, n: 255 - levels(255)(t, n),
    "alpha": alpha(0, sign=-1),
    "all of it": lambda t, n: np.full(SIZE, 255, np.uint8),
    "white paper": lambda t, n: 255 - colours((0, 0, 255), (255, 0, 0))(t, n),
}


@pytest.mark.parametrize("kind", INVERTED)
def test_inverted_masks_are_refused(kind, tmp_path):
    root = write_masked(tmp_path, INVERTED[kind], ".jpg" if kind == "JPEG" else ".png")
    with pytest.raises(UserError, match="12 of 12 masks are target in more than half of their pixels"):
        understand_masks(open_dataset(root, "test"))
    problems = check(str(root), quiet=True)[0]
    assert sum("target" in line for line in problems) >= 12


def test_a_few_inverted_masks_are_named(tmp_path):
    root = write_masked(tmp_path, lambda t, n: levels(255)(t, n) if n else 255 - levels(255)(t, n))
    understand_masks(open_dataset(root, "train"))
    assert any("2 of 12 masks are target in more than half" in line for line in warnings_given())
    assert sum("if it is inverted, invert it" in line for line in check(str(root), quiet=True)[0]) == 2


def test_alpha_of_empty_masks_is_read_too(tmp_path):
    (part,) = understand_masks(open_dataset(write_masked(tmp_path, alpha(255, empty=(1, 2))), "test"))
    counts = [len(label(read_mask(frame.mask, rule=frame.mask_rule))) for frame in part.frames]
    assert counts == [2, 0, 0, 2, 2, 2]
    assert any("alpha channel marks the targets" in line for line in warnings_given())


def test_opaque_and_coloured_masks_are_read_by_colour(tmp_path):
    def make(targets, number):
        mask = np.zeros((*SIZE, 4), np.uint8)
        mask[targets.any(0)] = 255
        mask[..., 3] = 255 if number % 2 else mask[..., 0]
        return mask

    (part,) = understand_masks(open_dataset(write_masked(tmp_path, make), "test"))
    assert not part.frames[0].mask_rule.alpha
    assert all(len(label(read_mask(frame.mask, rule=frame.mask_rule))) == 2 for frame in part.frames)


def test_both_splits_decide_and_each_dataset_for_itself(tmp_path):
    one = write_masked(tmp_path / "one", in_folders(levels(255), lambda t, n: faint(t, 2)))
    with pytest.raises(UserError, match="small values alone"):  # the test split alone would hold labels 1 and 3
        understand_masks(open_dataset(one, "test"))
    parts = [
        understand_masks(open_dataset(write_masked(tmp_path / name, levels(*values)), "train"))[0]
        for name, values in (("two", (255,)), ("three", (1, 2)))
    ]
    joined = join_datasets(parts[0], parts[1:])
    assert all(len(label(read_mask(frame.mask, rule=frame.mask_rule))) == 2 for frame in joined.frames)


def test_broken_masks_and_lists_of_the_other_split_do_not_decide(tmp_path):
    root = write_masked(tmp_path, levels(1, 2))
    write_text(root / "masks/a/000.png", "no picture")
    write_text(root / "train.txt", "images/a/missing.png\n")
    (part,) = understand_masks(open_dataset(root, "test"))
    assert part.frames[0].mask_rule == MaskRule()
    assert look_over_masks(mask_paths(part)).masks == COUNT


def test_plain_masks_say_nothing(tmp_path):
    understand_masks(open_dataset(write_masked(tmp_path, levels(255)), "test"))
    assert warnings_given() == []
    assert check(str(tmp_path), quiet=True)[:2] == ([], [])


def test_rules_travel_with_frames_alone_or_in_lists(tmp_path):
    rule = MaskRule(127.5, ignore=3)
    frame = Frame("a", 0, "x.png", "y.png", None, mask_rule=rule)
    assert Sequences.of({"a": [frame]})["a"][0].mask_rule == rule
    assert frame == Frame("a", 0, "x.png", "y.png", None)


def test_imported_masks_are_told_about(tmp_path):
    root = write_masked(tmp_path / "old", levels(255))
    for path in (root / "masks").rglob("*.png"):
        write(path, 255 - target_mask(SIZE))
    lines = import_labels(str(root / "images"), str(root / "masks"), str(tmp_path / "new"))
    assert any("more than half of their pixels" in line for line in lines)


def test_no_target_at_all_is_a_problem(tmp_path):
    root = write_masked(tmp_path / "masks", lambda t, n: np.zeros(SIZE, np.uint8))
    assert check(str(root), quiet=True)[0] == [f"{root}: none of the 12 frames holds a target; correct the labels"]
    assert any("none of 12 holds a target" in line for line in describe(str(root)))
    frames = open_dataset(root, "test").frames
    assert not has_target(frames, boxes=False) and not has_target(frames, boxes=True)
    half = write_masked(tmp_path / "half", in_folders(lambda t, n: np.zeros(SIZE, np.uint8), levels(255)))
    assert check(str(half), quiet=True)[0] == [
        f"{half}: none of the {COUNT} training frames holds a target; correct the labels"
    ]


def test_boxes_without_one_are_a_problem(tmp_path):
    names = [f"images/train/a/{number}.png" for number in range(3)]
    for name in names:
        write(tmp_path / name, target_mask())
    write_coco(tmp_path / "annotations/instances_train2017.json", names, boxes=())
    assert any("none of the 3 frames holds a target" in line for line in check(str(tmp_path), quiet=True)[0])


@pytest.mark.parametrize(("text", "value"), [("255", 255), ("-1", -1), ("none", "none"), (" None ", "none")])
def test_ignored_values(text, value):
    assert parse_ignore_value(text) == value


@pytest.mark.parametrize("text", ["", "red", "1.5", "9" * 5000, "nan", str(2**31)])
def test_what_is_no_value_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="expected a value of the masks such as 255, or none"):
        parse_ignore_value(text)
