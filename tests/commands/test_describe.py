"""What is said about a folder, and that every command that is printed for it runs."""

import importlib
import re
import runpy
import shlex
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from converting import dataset as coco_dataset
from folders import (
    DATASETS,
    FOLDERS,
    MEASURE,
    MEASURE_MASKS,
    ONE,
    SHOW,
    frames,
    index,
    official,
    several_classes,
    videos,
)
from scripts import ROOT, script
from trees import picture, real_data, write, write_pairs, write_text

from utils.commands.describe import describe
from utils.datasets.dataset import open_dataset


def commands(lines):
    """The words of every printed command, without `python`."""
    found = [shlex.split(line.removeprefix("next: "), comments=True) for line in lines if line.startswith("next: ")]
    assert all(words[0] == "python" for words in found)
    return [words[2:] if words[1] == "-m" else words[1:] for words in found]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs a command's words in this process, training up to its first step, and gives what it was trained on."""
    trained = []
    monkeypatch.setitem(
        sys.modules, "utils.training.trainer", SimpleNamespace(train=lambda *given: trained.append(given))
    )
    monkeypatch.chdir(tmp_path)

    def run(words):
        name, *arguments = words
        if name.startswith("train_"):
            monkeypatch.setattr(sys, "argv", words)
            runpy.run_path(str(ROOT / name), run_name="__main__")
            return trained.pop()
        if name in (MEASURE, MEASURE_MASKS):
            return script(name.removesuffix(".py")).main(arguments)
        if name == SHOW:
            vid_predict = script("vid_predict")
            options = vid_predict.parse(arguments)
            return vid_predict.find_sources(options.source, options.watch)
        module = importlib.import_module({"utils.datasets": "utils.commands.describe"}.get(name, name))
        return module.main(arguments)

    return run


@pytest.mark.parametrize("folder", [*DATASETS, *FOLDERS])
def test_what_comes_next_runs_until_something_is_trained_or_shown(tmp_path, run, folder):
    make, expected = (DATASETS | FOLDERS)[folder]
    make(tmp_path / folder)
    todo, done, new = [tmp_path / folder], [], 0
    while todo:
        found = commands(describe(str(todo.pop())))
        if not done:
            assert [words[0] for words in found] == expected
        for words in found:
            new += "NEW" in words
            run([f"new{new}" if word == "NEW" else word for word in words])
            done.append(words[0])
            if words[0] == "utils.datasets":
                todo.append(tmp_path / words[-1])
            elif "NEW" in words:
                todo.append(tmp_path / f"new{new}")
        assert len(done) < 20
    learns_nothing = ("official", "half masked", "test alone", "videos of test", "films and tables")
    assert any(name.startswith("train_") or name == SHOW for name in done) or folder in learns_nothing


# --- labels are taken as they are meant ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "folder, count",
    [
        ("coco in root", 10),
        ("centroids in root", 5),
        ("tables in root", 2),
        ("yolo beside", 10),
        ("voc beside", 10),
        ("yolo beside, below images", 5),
        ("yolo by split", 8),
        ("it's yolo", 10),
        ("masks below images", 5),
        ("masks by their look", 10),
    ],
)
def test_all_labels_arrive(tmp_path, run, folder, count):
    FOLDERS[folder][0](tmp_path / folder)
    lines = describe(str(tmp_path / folder))
    assert f"labels of {count} images: " in lines[-1]
    run(commands(lines)[-1])
    made = open_dataset(tmp_path / "NEW", "all", "labels")
    assert sum(bool(frame.boxes) or bool(frame.mask) for frame in made.frames) == count


def test_a_dataset_without_training_frames_is_told_how_they_are_named(tmp_path):
    official(tmp_path)
    lines = describe(str(tmp_path))
    assert (
        f"split: list the images in {tmp_path}/train.txt and {tmp_path}/test.txt, one a line, such as "
        "Sequence1/images/00001.png"
    ) in lines
    write_text(tmp_path / "test.txt", "Sequence47/images/00001.png\n")
    lines = describe(str(tmp_path))  # a test set is asked for nothing
    assert not any(line.startswith("split: ") for line in lines) and any(
        line.startswith("next: python test.py") for line in lines
    )
    (tmp_path / "test.txt").rename(tmp_path / "train.txt")
    assert any(
        line.startswith(f"split: list the images in {tmp_path}/test.txt, one") for line in describe(str(tmp_path))
    )
    index(tmp_path, ("train", "test"), ["Sequence47"])
    assert not any(line.startswith("split: ") for line in describe(str(tmp_path)))


def listed_test(root):
    write_pairs(root, [f"{sequence}/{n}" for sequence in (1, 2) for n in range(3)])
    write_text(root / "test.txt", "".join(f"images/{sequence}/{n}.png\n" for sequence in (1, 2) for n in range(3)))


@pytest.mark.parametrize("make", [listed_test, DATASETS["test alone"][0], DATASETS["videos of test"][0]])
def test_a_test_set_is_not_asked_for_training_frames(tmp_path, make):
    make(tmp_path)
    lines = describe(str(tmp_path))
    assert "train: none, it is a test set" in lines
    assert not any("train" in line for line in lines[2:]) and not any("learn" in line for line in lines)
    assert lines[2].startswith("test: ") and "none" not in lines[2]


@pytest.mark.parametrize("folder", ["one video", "no split", "single boxes"])
def test_frames_without_a_split_are_told_how_to_get_one(tmp_path, folder):
    DATASETS[folder][0](tmp_path)
    text = "\n".join(describe(str(tmp_path)))
    assert "nothing that tells training from test" in text and "# a copy with a split" in text


def test_classes_are_counted_for_training(tmp_path, run):
    several_classes(tmp_path / "root")
    words = next(words for words in commands(describe(str(tmp_path / "root"))) if words[0] == "train_DAUB.py")
    assert words[-2:] == ["--num-classes", "2"] and run(words)[0].num_classes == 2


def test_labels_that_do_not_fit_are_told(tmp_path):
    frames(tmp_path)
    write_text(tmp_path / "places.csv", "image,x0,y0,x1,y1,x2,y2\na/000.png,1,2,3,4,5,6\n")
    write_text(tmp_path / "labels/c/9.txt", "0 0.5 0.5 0.1 0.1\n")
    text = "\n".join(describe(str(tmp_path)))
    assert "not labels: " in text and "found the columns image, x0, y0, x1, y1, x2, y2" in text
    assert "labels of 1 images, the first c/9" in text and commands(text.split("\n"))[-1][0] == SHOW


def test_neighbouring_sequences_are_no_masks_of_each_other(tmp_path):
    frames(tmp_path, [f"{sequence}/{number}" for sequence in ("cam1", "cam2") for number in range(3)])
    assert commands(describe(str(tmp_path))) == [[SHOW, "--source", str(tmp_path)]]


# --- figures ---------------------------------------------------------------------------------------------------------


def test_a_dataset_is_described(tmp_path):
    root = write_pairs(tmp_path / "root", [f"{sequence}/{n}" for sequence in (1, 2) for n in range(3)])
    write_text(root / "train.txt", "".join(f"images/1/{n}.png\n" for n in range(3)))
    text = "\n".join(describe(str(root)))
    for part in (
        "layout 'image tree'",
        "train: 3 frames of 1 sequences",
        "test: none: ",
        "6 frames with a mask",
        "32x24 (6) (w x h), 8 bit",
        "1.00 targets a frame, 9 px each",
        "train_NUDT.py",
    ):
        assert part in text, part


def test_boxes_are_described(tmp_path):
    coco_dataset(tmp_path)
    text = "\n".join(describe(str(tmp_path)))
    assert "3 in a list of boxes, of 3" in text and "boxes: 3, of 2 classes" in text
    assert "1 frames without a target" in text


def test_frames_alone_are_described(tmp_path):
    frames(tmp_path / "a", ONE)
    write(tmp_path / "b/0.png", picture(1, (40, 50), np.uint16))
    lines = describe(str(tmp_path))
    assert "footage: 2 image sequences, 6 frames (1 to 5 each, the first a)" in lines
    assert re.fullmatch(
        r"frames: 32x24 \(5\), 50x40 \(1\) \(w x h\), 8 and 16 bit, levels \d+ to \d+ in the 6 looked "
        "at",
        lines[-2],
    )


def test_degrees_are_described_as_they_are(tmp_path):
    """Datasets of them are refused; vid_predict.py takes them."""
    (tmp_path / "a").mkdir()
    for number in range(3):
        values = np.random.default_rng(number).normal(-8, 1, (24, 32)).astype(np.float32)
        assert cv2.imwrite(str(tmp_path / "a" / f"{number}.tif"), values)
    lines = describe(str(tmp_path))
    assert "32 bit, levels -1" in lines[-2] and "vid_predict.py" in lines[-1]


def test_videos_alone_are_described(tmp_path):
    videos(tmp_path)
    lines = describe(str(tmp_path))
    assert "footage: 2 videos, 8 frames (4 to 4 each, the first film0), 25 frames a second" in lines
    assert lines[-2].startswith("frames: 32x24 (2) (w x h), 8 bit, levels ")


def test_what_cannot_be_used(tmp_path):
    write_text(tmp_path / "notes.txt", "nothing to see\n")
    assert "found no labels" in describe(str(tmp_path))[-1] and not commands(describe(str(tmp_path)))
    (tmp_path / "empty").mkdir()
    assert describe(str(tmp_path / "empty"))[-1] == "it is empty"


def test_real_videos_with_csv_labels_are_told():
    lines = describe(str(real_data("DroneIR-dev")))
    assert "utils_coco.csv_to_coco" in lines[-1] and "--videos" in lines[-1]


def test_real_single_frames_are_trained_as_such():
    assert commands(describe(str(real_data("NUAA-SIRST"))))[-1][0] == "train_NUAA_single.py"
