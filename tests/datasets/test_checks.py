"""The dataset check: what is sound passes, what is wrong gets a line, and training stops at the first."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from scripts import ROOT, script
from trees import coco, picture, real_data, target_mask, write, write_coco, write_pairs, write_text

from utils.checks import check, main
from utils.datasets.dataset import open_dataset
from utils.datasets.quick_check import check_classes, quick_check, warn_without_motion
from utils.images.box_masks import boxes_of_mask
from utils.images.image_files import read_frame
from utils.images.masks.values import read_mask
from utils.system.errors import UserError
from utils.system.notices import warnings_given
from utils_coco import boxes_to_masks, masks_to_coco


def sequence(root, count=3, **options):
    """`images/a/0.png` … with masks, all in the training split."""
    write_pairs(root, [f"a/{i}" for i in range(count)], **options)
    write_text(root / "train.txt", "".join(f"images/a/{i}.png\n" for i in range(count)))
    return root


def opened(root, need="masks"):
    """What training does first."""
    dataset = open_dataset(root, "train", need)
    quick_check(dataset)
    return dataset


def problems(root, **options):
    return check(str(root), quiet=True, **options)[0]


def stops(root, *parts, need="masks"):
    """Training stops with one line that has all of `parts` and names the command; the check lists the problem."""
    with pytest.raises(UserError) as caught:
        opened(root, need)
    text = str(caught.value)
    assert "\n" not in text
    for part in (*parts, f"python -m utils.checks --data-root {root}"):
        assert str(part) in text, text
    lines = problems(root)
    assert any(all(str(part) in line for part in parts) for line in lines), lines


# --- what must simply work -------------------------------------------------------------------------------------------


def test_a_sound_dataset(tmp_path, capsys):
    sequence(tmp_path)
    opened(tmp_path)
    assert main(["--data-root", str(tmp_path), "--quiet"]) == 0
    line = capsys.readouterr().out
    assert line.startswith("sound: ") and line.count("\n") == 1
    for figure in ("1 sequences", "3 frames", "3 targets", "32x24 (3)", "8 bit"):
        assert figure in line


GREY = picture(5)
CODINGS = {
    "grey 8 bit": GREY,
    "grey 16 bit": picture(5, dtype=np.uint16),
    "RGB": np.dstack([GREY] * 3),
    "RGBA": np.dstack([GREY] * 3 + [np.full_like(GREY, 255)]),
}


@pytest.mark.parametrize("coding", [*CODINGS, "palette"])
def test_every_coding_of_grey(tmp_path, coding):
    sequence(tmp_path, 2)
    expected = CODINGS["grey 16 bit"] if coding == "grey 16 bit" else GREY
    mask = target_mask()
    if coding == "palette":
        for name, array in (("images", GREY), ("masks", mask)):
            coded = Image.fromarray(255 - array, "L").convert("P")
            coded.putpalette([value for i in range(256) for value in (255 - i,) * 3])
            coded.save(tmp_path / name / "a/0.png")
    else:
        write(tmp_path / "images/a/0.png", CODINGS[coding])
        write(tmp_path / "masks/a/0.png", np.dstack([mask] * 3) if coding.startswith("RGB") else mask)
    frame = opened(tmp_path).frames[0]
    assert (read_frame(frame.image) == expected).all() and read_frame(frame.image).dtype == expected.dtype
    assert (read_mask(frame.mask) == (mask > 0)).all()
    assert problems(tmp_path) == []


def test_any_and_mixed_sizes(tmp_path):
    for i, size in enumerate([(24, 32), (17, 91), (1, 1), (128, 5)]):
        write(tmp_path / f"images/s{i}/0.png", picture(i, size))
        write(tmp_path / f"masks/s{i}/0.png", target_mask(size, empty=i > 0))
    write_text(tmp_path / "train.txt", "".join(f"s{i}/0\n" for i in range(4)))
    opened(tmp_path)
    found, _, summary = check(str(tmp_path), quiet=True)
    assert found == [] and "91x17 (1)" in summary and "1 targets (3 frames without)" in summary


def test_masks_of_another_size_give_one_warning_with_the_count(tmp_path, capsys):
    sequence(tmp_path, 4)
    for i in (1, 3):
        write(tmp_path / f"masks/a/{i}.png", target_mask((48, 64), at=(20, 24), side=6))
    dataset = opened(tmp_path)
    warning = capsys.readouterr().err
    assert warning.count("\n") == 1 and warning.startswith("warning: 2 masks") and "masks/a/1.png" in warning
    frame = dataset.frames[1]
    assert (read_mask(frame.mask, read_frame(frame.image).shape) == (target_mask() > 0)).all()
    lines = problems(tmp_path)
    assert len(lines) == 2 and "64x48 (w x h), expected 32x24" in lines[0]


@pytest.mark.parametrize("step, told", [(1, False), (2, True)])
def test_sequences_that_are_thinned_out_are_told(tmp_path, capsys, step, told):
    names = [f"{s}/{step * i}" for s in "ab" for i in range(3)] + ["single/7"]
    write_pairs(tmp_path, names)
    write_text(tmp_path / "train.txt", "\n".join(names))
    opened(tmp_path)
    warning = capsys.readouterr().err
    assert bool(warning) == told
    assert not told or ("2 sequences hold no two consecutive" in warning and "a (0, 2, 4" in warning)


@pytest.mark.parametrize(
    "names, num_frames, told",
    [
        (["0", "1", "2"], 5, "images/NAME/"),
        (["train/0", "train/1"], 5, "images/NAME/"),
        (["0", "1", "2"], 1, ""),
        (["a/0", "b/0"], 2, "take a network or method that reads single frames"),
        (["a/0", "a/1", "b/0"], 5, ""),
    ],
)
def test_single_frames_show_no_motion_which_is_told(tmp_path, capsys, names, num_frames, told):
    write_pairs(tmp_path, names)
    write_text(tmp_path / "train.txt", "\n".join(f"images/{name}.png" for name in names))
    warn_without_motion(opened(tmp_path), num_frames, "tsmsa")
    said = capsys.readouterr().err
    assert said.count("\n") == len(warnings_given()) == bool(told) and told in said
    assert not told or f"no clip shows motion, and tsmsa, which reads {num_frames} frames" in said


def test_test_py_says_and_keeps_that_no_clip_shows_motion(tmp_path, capsys):
    data = str(tmp_path / "data")
    write_pairs(tmp_path / "data", ["0", "1"])
    write_text(tmp_path / "data/test.txt", "images/0.png\nimages/1.png\n")
    for method in ("top-hat", "frame-difference"):
        arguments = ["--method", method, "--data-root", data, "--out", str(tmp_path / "out"), "--quiet"]
        script("test").main([*arguments, "--no-details", "--no-curve"])
        kept = json.loads((tmp_path / "out/metrics.json").read_text())["warnings"]
        assert [line in capsys.readouterr().err for line in kept] == [True] * (method != "top-hat")


def test_frames_and_sequences_without_targets(tmp_path, capsys):
    names = [f"{s}/{i}" for s in "ab" for i in range(2)]
    write_pairs(tmp_path, names, empty=names[1:])
    write_text(tmp_path / "train.txt", "\n".join(names))
    opened(tmp_path)
    assert main(["--data-root", str(tmp_path), "--quiet"]) == 0
    assert "1 targets (3 frames without)" in capsys.readouterr().out


@pytest.mark.parametrize("have", ["boxes", "masks"])
def test_one_kind_of_labels_becomes_both_once_converted(tmp_path, have):
    sequence(tmp_path, masks=have == "masks")
    if have == "boxes":
        names = [f"images/a/{i}.png" for i in range(3)]
        write_coco(tmp_path / "annotations/instances_train.json", names, [(8, 6, 8, 8)])
        boxes_to_masks.convert(str(tmp_path), quiet=True)
    else:
        masks_to_coco.convert(str(tmp_path), "train", quiet=True)
    for need in ("masks", "boxes"):
        opened(tmp_path, need)
    assert problems(tmp_path) == []
    frame = open_dataset(tmp_path).frames[0]
    if have == "masks":
        assert boxes_of_mask(read_mask(frame.mask)).tolist() == [list(box[:4]) for box in frame.boxes]


# --- what must stop --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", [0, 2])
def test_mask_of_another_aspect(tmp_path, which):
    sequence(tmp_path)
    write(tmp_path / f"masks/a/{which}.png", target_mask((24, 40)))
    stops(tmp_path, f"masks/a/{which}.png", "40x24 (w x h)", "32x24")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
@pytest.mark.parametrize("kind", ["images", "masks"])
def test_truncated_file(tmp_path, suffix, kind):
    sequence(tmp_path)
    path = tmp_path / kind / "a/1.png"
    path.unlink()
    path = write(path.with_suffix(suffix), np.dstack([picture(1, (60, 80))] * 3))
    other = tmp_path / ("masks" if kind == "images" else "images") / "a/1.png"
    write(other, target_mask((60, 80)))
    path.write_bytes(path.read_bytes()[:-200])
    stops(tmp_path, path, "truncated")
    with pytest.raises(UserError, match="truncated"):
        read_frame(path)


@pytest.mark.parametrize("content", [b"", b"GIF89a no picture", b"\x89PNG\r\n\x1a\n"])
def test_files_that_are_no_image(tmp_path, content):
    sequence(tmp_path)
    (tmp_path / "masks/a/1.png").write_bytes(content)
    stops(tmp_path, "masks/a/1.png")


@pytest.mark.parametrize(
    "box, found",
    [
        ((5, 5, 0, 3), "no area"),
        ((5, 5, 3, -2), "no area"),
        ((30, 5, 8, 8), "outside"),
        ((-5, 5, 8, 8), "outside"),
        ((90, 90, 8, 8), "outside"),
    ],
)
def test_bad_boxes(tmp_path, box, found):
    sequence(tmp_path)
    content = coco([f"images/a/{i}.png" for i in range(3)])
    for i in (1, 2):
        content["annotations"][i]["bbox"] = list(box)
    write_text(tmp_path / "annotations/instances_train.json", json.dumps(content))
    stops(tmp_path, "images/a/1.png", found)
    stops(tmp_path, "images/a/1.png", found, need="boxes")
    lines = problems(tmp_path)
    assert len(lines) == 2 and "images/a/2.png" in lines[1]


@pytest.mark.parametrize("text", ["images/a/0.png 3,3,9,9,0 12,10,15,13,2\n", None])
def test_a_class_that_the_network_does_not_know(tmp_path, text):
    names = [f"images/a/{i}.png" for i in range(3)]
    sequence(tmp_path)
    if text:
        write_text(tmp_path / "annotations/train.txt", text + "".join(f"{name}\n" for name in names[1:]))
    else:
        content = coco(names)
        content["categories"] += [{"id": 4, "name": "bird"}, {"id": 9, "name": "plane"}]
        content["annotations"][0]["category_id"] = 9
        write_text(tmp_path / "annotations/instances_train.json", json.dumps(content))
    dataset = opened(tmp_path, "boxes")
    check_classes(dataset, 3)
    with pytest.raises(UserError, match=r"images/a/0.png: found a box of class 2.*below 2; give --num-classes 3"):
        check_classes(dataset, 2)


def test_a_box_that_fits_its_own_larger_frame(tmp_path):
    sequence(tmp_path)
    write(tmp_path / "images/a/1.png", picture(1, (64, 64)))
    write(tmp_path / "masks/a/1.png", target_mask((64, 64)))
    content = coco([f"images/a/{i}.png" for i in range(3)])
    content["annotations"][1]["bbox"] = [50, 50, 8, 8]
    content["images"][1] |= {"width": 64, "height": 64}
    write_text(tmp_path / "annotations/instances_train.json", json.dumps(content))
    opened(tmp_path)
    assert problems(tmp_path) == []


# --- everything wrong at once ----------------------------------------------------------------------------------------


def test_every_problem_has_a_line_and_status_1(tmp_path, capsys):
    names = [f"a/{i}" for i in range(9)]
    write_pairs(tmp_path, names)
    lines = [f"images/{name}.png" for name in names]
    write_text(tmp_path / "train.txt", "\n".join([*lines, lines[0], "images/a/77.png"]))
    write_text(tmp_path / "test.txt", "\n".join(lines[:1]))
    write_text(tmp_path / "annotations/instances_val.json", "{}")
    bad = {
        "images/a/1.png": "truncated",
        "masks/a/2.png": "same aspect",
        "masks/a/3.png": "truncated",
        "masks/a/4.png": "between 0 and 255",
        "masks/a/5.png": "every pixel is target",
        "masks/a/99.png": "without an image",
        "images/a/6.png": "without a mask",
        "train.txt: images/a/0.png": "listed twice",
        "train.txt: images/a/77.png": "no such",
        "images/a/0.png": "for training and for testing",
        "instances_val.json": "'images'",
    }
    for name in ("images/a/1.png", "masks/a/3.png"):
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-15])
    write(tmp_path / "masks/a/2.png", target_mask((24, 90)))
    write(tmp_path / "masks/a/4.png", cv2.GaussianBlur(target_mask(side=5), (3, 3), 0.6))
    write(tmp_path / "masks/a/5.png", np.full((24, 32), 255, np.uint8))
    write(tmp_path / "masks/a/99.png", target_mask())
    (tmp_path / "masks/a/6.png").unlink()
    write(tmp_path / "images/a/7.png", np.full((24, 32), 7, np.uint8))
    assert main(["--data-root", str(tmp_path), "--quiet"]) == 1
    *found, last = capsys.readouterr().out.splitlines()
    for name, text in bad.items():
        assert sum(name in line and text in line for line in found) == 1, (name, found)
    hints = [line for line in found if line.startswith("hint: ")]
    assert len(hints) == 1 and "images/a/7.png" in hints[0]
    assert last.startswith(f"{len(bad)} problems") and len(found) == len(bad) + 1


@pytest.mark.parametrize("name, content", [("train.txt", ""), ("annotations/instances_train.json", "[]")])
def test_broken_lists_are_problems_of_the_dataset(tmp_path, name, content, capsys):
    write_pairs(tmp_path, ["a/0"])
    write_text(tmp_path / name, content)
    assert main(["--data-root", str(tmp_path), "--quiet"]) == 1
    assert Path(name).name in capsys.readouterr().out


def test_labels_that_are_asked_for(tmp_path, capsys):
    sequence(tmp_path)
    assert main(["--data-root", str(tmp_path), "--quiet", "--need", "masks", "--split", "train"]) == 0
    assert main(["--data-root", str(tmp_path), "--quiet", "--need", "boxes"]) == 1
    assert "masks_to_coco" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words, text",
    [
        (["--data-root", "{root}/missing"], "no such folder"),
        (["--data-root", "{root}", "--split", "trian"], "invalid choice"),
        ([], "--data-root"),
    ],
)
def test_usage_errors_are_one_line_and_status_2(tmp_path, words, text):
    done = subprocess.run(
        [sys.executable, "-m", "utils.checks", *(word.format(root=tmp_path) for word in words)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and text in done.stderr


def test_the_command_shows_progress(tmp_path):
    sequence(tmp_path)
    (tmp_path / "masks/a/1.png").unlink()
    done = subprocess.run(
        [sys.executable, "-m", "utils.checks", "--data-root", str(tmp_path)], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 1 and "3/3" in done.stderr and "Traceback" not in done.stderr
    assert done.stdout.splitlines()[0].startswith(str(tmp_path / "images/a/1.png"))


@pytest.mark.parametrize(
    "script, advice",
    [
        ("train_NUDT.py", "boxes_to_masks"),
        ("train_MWIRDST.py", "boxes_to_masks"),
        ("train_DAUB.py", "masks_to_coco"),
        ("train_IRDST.py", "masks_to_coco"),
    ],
)
def test_training_stops_before_pytorch_is_imported(tmp_path, script, advice):
    """On a dataset that has only the other kind of labels."""
    sequence(tmp_path, masks=advice == "masks_to_coco")
    if advice == "boxes_to_masks":
        write_coco(tmp_path / "annotations/instances_train.json", [f"images/a/{i}.png" for i in range(3)])
    code = (
        f"import runpy, sys; sys.argv = ['{script}', '--data-root', {str(tmp_path)!r}]\n"
        f"try: runpy.run_path({str(ROOT / script)!r}, run_name='__main__')\n"
        "finally: print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2 and done.stdout == "False\n"
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and advice in done.stderr


def test_quick_check_decodes_a_few_frames_only(tmp_path, monkeypatch):
    write_pairs(tmp_path, [f"a/{i}" for i in range(40)])
    dataset, decoded = open_dataset(tmp_path, "all"), []
    monkeypatch.setattr("cv2.imdecode", lambda data, flags: decoded.append(flags) or picture())
    quick_check(dataset)
    assert len(decoded) == 6


# --- the real data, where it is at hand ------------------------------------------------------------------------------


def test_real_nuaa_has_one_mask_of_another_size(capsys):
    root = real_data("NUAA-SIRST")
    quick_check(open_dataset(root, "train"))
    quick_check(open_dataset(root, "test"))
    warnings = [line for line in capsys.readouterr().err.splitlines() if "in colour" not in line]
    assert len(warnings) == 1 and "1 masks" in warnings[0] and "Misc_111" in warnings[0]
    lines = problems(root)
    assert len(lines) == 1 and "592x400 (w x h), expected 325x220" in lines[0]


def test_real_daub_is_sound():
    root = real_data("DAUB-mini")
    assert problems(root, split="train") == []
    quick_check(open_dataset(root, "test", "boxes"))
