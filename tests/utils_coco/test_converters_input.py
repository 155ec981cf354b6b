"""COCO json ⇄ txt lines: lists that name images by other roots, and what stops a conversion."""

import pytest
from converting import NAMES, content, dataset, to_json, to_txt, written
from trees import target_mask, write, write_pairs, write_text

from utils.datasets.coco import read_coco
from utils.datasets.lists import read_lines
from utils.system.errors import UserError
from utils_coco import masks_to_coco

# --- other roots -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "start, slash",
    [
        ("/data/x/DAUB/images/test/", "/"),
        ("D:\\data\\DAUB\\images\\test\\", "\\"),
        ("images\\test\\", "\\"),
        ("test/", "/"),
        ("", "/"),
        ("./images/test/", "/"),
    ],
)
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


@pytest.mark.parametrize(
    "found, parts",
    [
        ({key: value for key, value in content().items() if key != "categories"}, ["no list 'categories'"]),
        (changed("categories", 0, id="drone"), ["integer", '"drone"']),
        (changed("images", 1, id=2.0), ["integer", "2.0"]),
        (changed("annotations", 1, category_id=3), ["category 3", "not among"]),
        (changed("annotations", 1, image_id=9), ["image 9", "not among"]),
        (changed("images", 1, file_name=NAMES[0]), [NAMES[0], "twice"]),
        (changed("annotations", 0, bbox=[1, 2, 0, 3]), [NAMES[0], "of no area"]),
        (changed("annotations", 0, bbox=[1, 2, "3", 3]), ["four finite numbers", '[1, 2, "3", 3]']),
        (changed("annotations", 2, bbox=[30, 20, 4, 3]), [NAMES[2], "outside the image of 32x24"]),
        (changed("annotations", 2, bbox=[1, 2, 3]), ["four finite numbers", "[1, 2, 3]"]),
        (changed("images", 0, file_name="a\nb.png"), ["'a\\nb.png'", "line breaks"]),
        (changed("images", 1, file_name="b 1,2,3,4,0"), ["'b 1,2,3,4,0'", "does not end like a box"]),
        (changed("images", 1, file_name="b.png 1,2,3"), ["'b.png 1,2,3'", "rename"]),
        (changed("images", 1, file_name=" b.png"), ["' b.png'", "rename"]),
    ],
)
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


@pytest.mark.parametrize(
    "line, parts",
    [
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
    ],
)
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
