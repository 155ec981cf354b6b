"""Folders that people have, datasets and others, and the programs that come next for each."""

import shutil

import numpy as np
from converting import dataset as coco_dataset
from labelling import KINDS, coco_json, each, mask, voc, yolo
from trees import picture, target_mask, write, write_coco, write_pairs, write_text

from utils.video.writers import VideoWriter

TWO = [f"{sequence}/{number:03d}" for sequence in "ab" for number in range(5)]
ONE = [f"{number:03d}" for number in range(5)]


def frames(root, keys=TWO, suffix=".png"):
    for number, key in enumerate(keys):
        write(root / f"{key}{suffix}", picture(number))
    return root


def index(root, names, sequences, suffix=".png"):
    """Lists of the split by sequence: `names` of the train and the test list, `sequences` of the test list."""
    keys = sorted(path.relative_to(root).as_posix() for path in root.rglob(f"*{suffix}") if "images" in path.parts)
    for name, test in zip(names, (False, True), strict=True):
        lines = [key for key in keys if any(f"/{part}/" in f"/{key}" for part in sequences) == test]
        write_text(root / f"{name}.txt", "\n".join(lines) + "\n")


def videos(root, count=2):
    for number in range(count):
        root.mkdir(parents=True, exist_ok=True)
        with VideoWriter(root / f"film{number}.mp4", 25) as writer:
            for level in range(4):
                writer.write(np.full((24, 32, 3), 20 * level, np.uint8))


# --- datasets --------------------------------------------------------------------------------------------------------


def official(root):
    for number in (1, 47):
        for i in range(1, 4):
            write(root / f"Sequence{number}/images/{i:05d}.png", picture(i))
            write(root / f"Sequence{number}/masks/{i:05d}.png", target_mask())


def official_listed(root):
    official(root)
    index(root, ("train", "test"), ["Sequence47"])


def rearranged(root):
    write_pairs(root, [f"sequence{number}/{i}" for number in (1, 47) for i in range(3)])
    index(root, ("train_NUDTMIRSDT", "test_NUDTMIRSDT"), ["sequence47"])


def mwirstd(root):
    write_pairs(root, [f"{number}/{i}" for number in (1, 15) for i in range(3)], image=".jpg")
    index(root, ("train_MWIRSTD", "test_MWIRSTD"), ["15"], ".jpg")


def daub(root):
    for split, sequence in (("train", "data5"), ("test", "data6")):
        names = [f"images/{split}/{sequence}/{i}.bmp" for i in range(3)]
        frames(root, [name[:-4] for name in names], ".bmp")
        write_coco(root / f"annotations/instances_{split}2017.json", names)


def irdst(root):
    frames(root / "images", [f"{number}/{i}" for number in (1, 2) for i in range(3)], ".bmp")
    for split, number in (("train", 1), ("test", 2)):
        write_coco(root / f"annotations/instances_{split}2017.json", [f"images/{number}/{i}.bmp" for i in range(3)])


def irdst_masks(root):
    write_pairs(root, [f"{number}/{i}" for number in (1, 2) for i in range(3)], image=".bmp")


def several_classes(root):
    coco_dataset(root)
    shutil.move(root / "images/test/c", root / "images/train/c")
    (root / "annotations/instances_test2017.json").rename(root / "annotations/instances.json")


def single_frames(root):
    write_pairs(root, ["Misc_1", "Misc_2", "Misc_3"])
    write_text(root / "img_idx/train_NUAA-SIRST.txt", "Misc_1\nMisc_2\n")
    write_text(root / "img_idx/test_NUAA-SIRST.txt", "Misc_3\n")


def single_boxes(root):
    frames(root / "images", ONE)
    write_coco(root / "annotations/instances.json", [f"images/{key}.png" for key in ONE])


def single_by_split(root):
    write_pairs(root, ["train/Misc_1", "train/Misc_2", "test/Misc_3"])


def viso(root, first=1):
    """A video with a target in each frame, and a MOT table."""
    frames(root / "img", [f"{number:06d}" for number in range(first, first + 5)])
    lines = (f"{number},7,12,10,3,3,1,-1,-1,-1\n" for number in range(first, first + 5))
    write_text(root / "gt/gt.txt", "".join(lines))


def viso_by_split(root):
    for number, split in enumerate(("train", "test")):
        for name in ("car", "ship"):
            viso(root / split / name / f"{number:03d}")


def rscardata(root):
    for split, top in (("train2017", "train2017"), ("test2017_1024", "test1024")):
        names = [f"images/{top}/003/img/{number:06d}.jpg" for number in range(1, 4)]
        frames(root, [name[:-4] for name in names], ".jpg")
        write_coco(root / f"annotations/instances_{split}.json", names)


def half_masked(root):
    write_pairs(root, TWO)
    (root / "masks/a/000.png").unlink()
    index(root, ("train", "test"), "b")


MEASURE, MEASURE_MASKS = "vid_map_coco.py", "test.py"
CHECKS, IMPORT, MASKS, SHOW = "utils.checks", "utils_coco.import_labels", "utils_coco.boxes_to_masks", "vid_predict.py"
DATASETS = {  # by the folder's name: what makes it, and the programs that come next
    "official": (official, [CHECKS, MEASURE_MASKS]),
    "official listed": (official_listed, [CHECKS, "train_NUDT.py"]),
    "NUDT-MIRSDT": (official, [CHECKS, "train_NUDT.py"]),
    "rearranged": (rearranged, [CHECKS, "train_NUDT.py"]),
    "MWIRDST": (mwirstd, [CHECKS, "train_MWIRDST.py"]),
    "DAUB": (daub, [CHECKS, "train_DAUB.py", MASKS]),
    "ITSDT-15K": (daub, [CHECKS, "train_DAUB.py", MASKS]),
    "IRDST": (irdst, [CHECKS, "train_IRDST.py", MASKS]),
    "IRDST-real": (irdst_masks, [CHECKS, "train_IRDST.py"]),
    "NUAA-SIRST": (single_frames, [CHECKS, "train_NUAA_single.py"]),
    "single": (single_frames, [CHECKS, "train_NUAA_single.py"]),
    "single by split": (single_by_split, [CHECKS, "train_NUAA_single.py"]),
    "single boxes": (single_boxes, [CHECKS, MEASURE, IMPORT, MASKS]),
    "one video": (lambda root: write_pairs(root, ONE), [CHECKS, MEASURE_MASKS, IMPORT]),
    "no split": (lambda root: write_pairs(root, TWO), [CHECKS, MEASURE_MASKS, IMPORT]),
    "two classes": (several_classes, [CHECKS, "train_DAUB.py", MASKS]),
    "test alone": (coco_dataset, [CHECKS, MEASURE, MASKS]),
    "viso_car": (viso, [CHECKS, MEASURE, IMPORT, MASKS]),
    "viso by split": (viso_by_split, [CHECKS, "train_VISO.py", MASKS]),
    "RsCarData": (rscardata, [CHECKS, "train_RsCarData.py", MASKS]),
    "videos of test": (lambda root: viso(root / "test/v1"), [CHECKS, MEASURE, MASKS]),
    "half masked": (half_masked, [CHECKS]),
    "no labels": (lambda root: frames(root / "images"), [SHOW]),
}


# --- other folders ---------------------------------------------------------------------------------------------------


def beside(root, make, keys=TWO):
    frames(root, keys)
    each(make)(root, keys)


def coco_in_root(root):
    frames(root / "images")
    coco_json(root, TWO)


def centroids_in_root(root):
    frames(root / "images", ONE)
    write_text(root / "centroids.csv", "frame,x,y\n" + "".join(f"{number},13,11\n" for number in range(5)))


def tables_in_root(root):
    frames(root)
    for sequence in "ab":
        write_text(root / f"{sequence}.csv", "frame,xmin,ymin,xmax,ymax\n1,12,10,15,13\n")


def in_folders(root, kind, images="images", labels="labels"):
    frames(root / images)
    KINDS[kind](root / labels, TWO)


def masks_by_their_look(root):
    frames(root / "ir")
    each(mask)(root / "truth", TWO)


def masks_below_images(root):
    frames(root, ONE)
    for key in ONE:
        write(root / f"mask/{key}.png", target_mask())


def yolo_by_split(root):
    for split, number in (("train", 0), ("valid", 1)):
        frames(root / split / "images", [f"{number}{i}" for i in range(4)])
        each(yolo)(root / split / "labels", [f"{number}{i}" for i in range(4)])
    write_text(root / "README.roboflow.txt", "Exported in YOLO format\n")


def films_with_tables(root):
    videos(root)
    for number in range(2):
        write_text(root / f"film{number}.csv", "frame,class,x,y,w,h\n1,drone,12,10,3,3\n")


def kinds_of_videos(root):
    for name in ("viso_car", "viso_ship"):
        viso(root / name)
    points(root / "wpafb")


def points(root):
    frames(root / "img", [f"frame_{number:06d}" for number in range(100, 105)])
    write_text(root / "points.csv", "frame,id,x,y\n" + "".join(f"{n},3,13,11\n" for n in range(100, 105)))


def datasets(root):
    daub(root / "DAUB")
    single_frames(root / "NUAA")


FOLDERS = {
    "coco in root": (coco_in_root, [IMPORT]),
    "centroids in root": (centroids_in_root, [IMPORT]),
    "tables in root": (tables_in_root, [IMPORT]),
    "yolo beside": (lambda root: beside(root, yolo), [IMPORT]),
    "yolo beside, one sequence": (lambda root: beside(root, yolo, ONE), [IMPORT]),
    "yolo beside, below images": (lambda root: beside(root / "images", yolo, ONE), [IMPORT]),
    "voc beside": (lambda root: beside(root, voc), [IMPORT]),
    "voc beside, below images": (lambda root: beside(root / "images", voc), [IMPORT]),
    "it's yolo": (lambda root: in_folders(root, "yolo"), [IMPORT]),
    "voc devkit": (lambda root: in_folders(root, "voc", "JPEGImages", "Annotations"), [IMPORT]),
    "boxes": (lambda root: in_folders(root, "boxes", "frames"), [IMPORT]),
    "masks": (lambda root: in_folders(root, "masks", "frames", "gt"), [IMPORT]),
    "masks by their look": (masks_by_their_look, [IMPORT]),
    "masks below images": (masks_below_images, [IMPORT]),
    "yolo by split": (yolo_by_split, [IMPORT]),
    "kinds of videos": (kinds_of_videos, ["utils.datasets", "utils.datasets"]),
    "points": (points, [IMPORT]),
    "films and tables": (films_with_tables, ["utils_coco.csv_to_coco"]),
    "datasets": (datasets, ["utils.datasets", "utils.datasets"]),
    "frames": (frames, [SHOW]),
    "films": (videos, [SHOW]),
}
