"""COCO results that call images by their files."""

import json

import pytest

from utils.metrics.coco_results import Naming, read_results
from utils.system.errors import UserError

IMAGES = {"/d/images/a/000001.png": 11, "/d/images/b/000001.png": 12, "/d/images/b/000007.png": 13}
NAMING = Naming(IMAGES, ({"id": 1, "name": "target"},))


def read(tmp_path, *images):
    entries = [{"image_id": image, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5} for image in images]
    (tmp_path / "found.json").write_text(json.dumps(entries))
    return [IMAGES[image] for image in read_results(tmp_path / "found.json", NAMING)]


@pytest.mark.parametrize(
    ("images", "ids"),
    [
        (["a/000001", "b/000001.png", "000007"], [11, 12, 13]),
        (["images/a/000001.png", "/d/images/b/000007.png"], [11, 13]),
        (["b\\000001.PNG", "./a/000001.jpg"], [12, 11]),
        ([7], [13]),
        (["7", "000007.png"], None),
        ([7, "a/000001"], [13, 11]),
    ],
)
def test_images_may_be_called_by_their_files(tmp_path, capsys, images, ids):
    if ids is None:
        with pytest.raises(UserError, match="entry 0 is about image"):
            read(tmp_path, *images)
    else:
        assert read(tmp_path, *images) == ids
        assert "found.json: not all of its image ids are ids of" in capsys.readouterr().err


def test_ids_are_ids_where_all_of_them_are(tmp_path, capsys):
    assert read(tmp_path, 12, 11) == [12, 11] and not capsys.readouterr().err


@pytest.mark.parametrize("images", [["000001"], ["a/000001", "c/000001"], [1], [11, "000001"], [""], ["/"], [True]])
def test_names_that_are_of_several_files_or_of_none_are_refused(tmp_path, images):
    with pytest.raises(UserError, match="entry . is about image .*, or names of files|entry 0 is"):
        read(tmp_path, *images)
