"""Commands that write datasets, killed at every step: nothing, or the whole dataset, and the next run makes it."""

import os
import shutil
import signal
import sys

import pytest
from labelling import coco_json, mask
from trees import picture, write, write_coco, write_pairs, write_text

from utils.datasets.building import MARK
from utils.synthetic.dataset import write_dataset
from utils.synthetic.infrared.config import InfraredConfig
from utils.video.writers import VideoWriter
from utils_coco import boxes_to_masks, csv_to_coco, import_labels, masks_to_coco

KEYS = ["s/0", "s/1"]
EVENTS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink")
MAX_STEPS = 200


def imported(root):
    for number, key in enumerate(KEYS):
        write(root / f"in/img/{key}.png", picture(number))
    coco_json(root / "in/lab", KEYS)
    return lambda: import_labels.convert(str(root / "in/img"), str(root / "in/lab"), str(root / "out"), fraction=0.5)


def imported_masks(root):
    for number, key in enumerate(KEYS):
        write(root / f"in/img/{key}.png", picture(number))
        mask(root / "in/lab", key)
    return lambda: import_labels.convert(str(root / "in/img"), str(root / "in/lab"), str(root / "out"), link=True)


def boxed(root):
    for number, key in enumerate(KEYS):
        write(root / f"in/images/{key}.png", picture(number))
    write_coco(root / "in/annotations/instances_test.json", [f"{key}.png" for key in KEYS])


def masks_elsewhere(root):
    boxed(root)
    return lambda: boxes_to_masks.convert(str(root / "in"), str(root / "out"), quiet=True)


def masks_inside(root):
    boxed(root)
    shutil.move(root / "in", root / "out")
    return lambda: boxes_to_masks.convert(str(root / "out"), quiet=True)


def boxes_inside(root):
    write_pairs(root / "out", KEYS)
    write_text(root / "out/train.txt", "s/0\n")
    write_text(root / "out/test.txt", "s/1\n")
    return lambda: masks_to_coco.convert(str(root / "out"), quiet=True)


def video(root):
    (root / "in").mkdir(parents=True)
    with VideoWriter(root / "in/a.mp4", 25) as writer:
        for number in range(2):
            writer.write(picture(number)[:, :, None].repeat(3, 2))
    write_text(root / "in/a.csv", "frame,class,x,y,w,h\n1,drone,12,10,3,3\n")
    return lambda: csv_to_coco.convert(str(root / "in"), str(root / "in"), str(root / "out"), frames=True, quiet=True)


def synthetic(root):
    config = InfraredConfig(train_sequences=1, test_sequences=1, frames=5, size=(64, 64))
    return lambda: write_dataset(config, root / "out", quiet=True)


def files(root):
    """The files of the dataset and what they hold; its work in hand, which is no dataset, does not count."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted((root / "out").rglob("*"))
        if path.is_file() and MARK not in path.relative_to(root).as_posix()
    }


def run_killed(make, step):
    """Run in a process that kills itself before it touches its `step`th file; gives whether it came to its end."""
    child = os.fork()
    if not child:
        count = 0

        def hook(event, arguments):
            nonlocal count
            writes = event in EVENTS and not (event == "open" and not (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR))
            count += writes
            if writes and count == step:
                os.kill(os.getpid(), signal.SIGKILL)

        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        sys.addaudithook(hook)
        make()
        os._exit(0)
    return os.WIFEXITED(os.waitpid(child, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(
    "prepare, stride",
    [(make, 1) for make in (imported, imported_masks, masks_elsewhere, masks_inside, boxes_inside)]
    + [(video, 1), (synthetic, 12)],
)
def test_a_killed_command_leaves_nothing_or_all_of_a_dataset(tmp_path, prepare, stride):
    whole = tmp_path / "whole"
    make = prepare(whole)
    before = files(whole)
    make()
    after = files(whole)
    assert after != before
    for step in range(1, MAX_STEPS, stride):
        root = tmp_path / str(step)
        make = prepare(root)
        ended = run_killed(make, step)
        assert files(root) in ((after,) if ended else (before, after))
        if ended:
            break
        if files(root) == before:
            make()
        assert files(root) == after
        assert [path.name for path in sorted(root.iterdir())] in (["in", "out"], ["out"])
    assert 5 < step < MAX_STEPS - stride
