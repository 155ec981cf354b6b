"""Tables of labels: which columns mean what, and which are refused."""

import numpy as np
import pytest
from labelling import BOX
from trees import picture, write, write_text

from utils.datasets.dataset import open_dataset
from utils.system.errors import UserError
from utils_coco.import_labels import convert
from utils_coco.label_kinds import guess_kind
from utils_coco.label_tables import LabelRow, NamedBox, read_table


@pytest.fixture
def images(tmp_path):
    """Two sequences of four frames, from 1; images are 32 x 24."""
    for sequence in "ab":
        for number in range(1, 5):
            write(tmp_path / f"images/{sequence}/{number:03d}.png", picture(number))
    return tmp_path / "images"


def made(tmp_path, images, text, name="labels.csv", **options):
    """The boxes of all images that have some, by sequence and number, after the conversion."""
    write_text(tmp_path / "labels" / name, text)
    convert(str(images), str(tmp_path / "labels"), str(tmp_path / "out"), side=3, **options)
    frames = open_dataset(tmp_path / "out", "all", "boxes").frames
    return {(frame.sequence, frame.number): [box[:4] for box in frame.boxes] for frame in frames if frame.boxes}


@pytest.mark.parametrize(
    "columns, values",
    [
        ("xmin,ymin,xmax,ymax", "12,10,15,13"),
        ("xmin,xmax,ymin,ymax", "12,15,10,13"),
        ("X Min,Y Min,X Max,Y Max", "12,10,15,13"),
        ("min_x,min_y,max_x,max_y", "12,10,15,13"),
        ("x1,y1,x2,y2", "12,10,15,13"),
        ("x0,y0,x1,y1", "12,10,15,13"),
        ("left,top,right,bottom", "12,10,15,13"),
        ("xtl,ytl,xbr,ybr", "12,10,15,13"),
        ("width,height,class,xmin,ymin,xmax,ymax", "32,24,drone,12,10,15,13"),
        ("x,y,w,h", "12,10,3,3"),
        ("x,y,width,height", "12,10,3,3"),
        ("width,height,x,y,w,h", "32,24,12,10,3,3"),
        ("xmin,ymin,w,h", "12,10,3,3"),
        ("bbox_x,bbox_y,bbox_w,bbox_h", "12,10,3,3"),
        ("bb_left,bb_top,bb_width,bb_height", "12,10,3,3"),
        ("cx,cy,w,h", "13.5,11.5,3,3"),
        ("x_center,y_center,width,height", "13.5,11.5,3,3"),
        ("x,y", "13.5,11.5"),
        ("cx,cy", "13.5,11.5"),
        ("centroid_x,centroid_y", "13.5,11.5"),
        ("x,y,confidence,area", "13.5,11.5,0.9,5"),
    ],
)
def test_common_columns_of_places(tmp_path, images, columns, values):
    found = made(tmp_path, images, f"image,{columns}\na/002.png,{values}\n")
    assert list(found) == [("a", 2)] and np.allclose(found["a", 2], [BOX])


@pytest.mark.parametrize(
    "columns, values",
    [
        ("filename", "D:\\set\\a\\002.png"),
        ("File", "a/002"),
        ("image_path", "/data/a/002.png"),
        ("img", "a/002.png"),
        ("image_id", "a/002"),
        ("frame", "a/002.png"),
        ("video,frame", "a,2"),
        ("sequence,image", "a,002.png"),
    ],
)
def test_common_columns_of_images(tmp_path, images, columns, values):
    assert made(tmp_path, images, f"{columns},x,y,w,h\n{values},12,10,3,3\n") == {("a", 2): [BOX]}


@pytest.mark.parametrize(
    "name, column, value",
    [
        ("a.csv", "frame", "2"),
        ("a.csv", "frame_id", "2.0"),
        ("a.csv", "image_id", "002"),
        ("a/x.csv", "file_name", "002.png"),
        ("deep/a.csv", "frame", "2"),
    ],
)
def test_images_by_the_name_of_the_table(tmp_path, images, name, column, value):
    assert list(made(tmp_path, images, f"{column},x,y\n{value},13,11\n", name)) == [("a", 2)]


def test_numbers_of_a_single_sequence_need_no_name(tmp_path, images):
    found = made(tmp_path, images / "a", "frame,x,y\n1,13,11\n4,13,11\n", fraction=0)
    assert list(found) == [("a", 1), ("a", 4)]


def test_other_marks_between_columns_and_classes(tmp_path, images):
    made(tmp_path, images, "\ufefffilename;category_name;x;y\r\na/001.png;sea bird;13;11\r\nb/002.png;drone;13;11\r\n")
    assert "sea bird" in (tmp_path / "out/annotations/instances_train2017.json").read_text()


def test_a_line_without_numbers_is_an_image_without_targets(tmp_path):
    path = write_text(tmp_path / "x.csv", "image,x,y,w,h\n1.png,,,,\n\n2.png,1,2,3,4\n")
    assert list(read_table(path, "x", "boxes", 7)) == [LabelRow("1"), LabelRow("2", (NamedBox(1, 2, 4, 6, "target"),))]


def test_the_kind_tells_what_columns_do_not(tmp_path, images):
    text = "filename,width,height,x,y\na/002.png,32,24,13.5,11.5\n"
    with pytest.raises(UserError, match="correct the labels"):  # a box of the image's size
        made(tmp_path, images, text)
    assert np.allclose(made(tmp_path, images, text, kind="centroids")["a", 2], [BOX])


@pytest.mark.parametrize(
    "text, expected",
    [
        (
            "image,x0,y0,x1,y1,x2,y2\n",
            "found the columns image, x0, y0, x1, y1, x2, y2, in which targets are at "
            "x1,y1,x2,y2 or at x0,y0,x1,y1; expected",
        ),
        ("image,x,y,left,top,width,height\n", "at x,y,width,height or at left,top,width,height"),
        ("image,x1,y1,x2,y2,x3,y3,x4,y4\n", "of which x3, x4, y3, y4 would not be read beside x1,y1,x2,y2"),
        ("image,x,y,w\n", "of which w would not be read beside x,y"),
        ("image,x,y,cx,cy\n", "in which targets are at cx,cy or at x,y"),
        ("image,x,bbox_x,y\n", "two of them x;"),
        ("image,a,b\n", "found the columns image, a, b, none of which says where the target is; expected"),
        ("image,xmin,ymin\n", "none of which says where"),
        ("x,y,w,h\n", "none of which says which image a line is about"),
        ("a/001.png,12,10,15,13,drone\n", "found the columns a/001.png, 12, 10, 15, 13, drone, none of which"),
        ("", "found the columns none"),
        ("image,cx,cy,w,h\na/001.png,0.5,0.4,0.1,0.1\n", "found shares of the image's sides, expected pixels"),
        ("image,xmin,ymin,xmax,ymax\na/001.png,1,2,3\n", "line 2: found 'a/001.png,1,2,3', expected values for"),
        ("image,xmin,ymin,xmax,ymax\na/001.png,1,2,3,four\n", "line 2"),
        ("frame,x,y\n,1,2\n", "line 2"),
        ("image,x,y\na/001.png,nan,2\n", "line 2"),
        ("sequence,image,x,y\n..,001.png,1,2\n", "line 2"),
        ("image,x,y\nc/9.png,1,2\n", "labels of 1 images, the first c/9, none of which"),
    ],
)
def test_what_is_refused(tmp_path, images, text, expected):
    with pytest.raises(UserError) as caught:
        made(tmp_path, images, text)
    assert expected in str(caught.value)


def test_tables_of_both_kinds_are_refused(tmp_path):
    write_text(tmp_path / "a.csv", "image,x,y\n")
    assert guess_kind(tmp_path) == "centroids"
    write_text(tmp_path / "b.csv", "image,x,y,w,h\n")
    with pytest.raises(UserError, match="found boxes in .*b.csv and centroids in .*a.csv"):
        guess_kind(tmp_path)


def test_other_files_beside_labels_do_not_matter(tmp_path, images):
    for name, text in (
        ("README.txt", "labels of images"),
        ("train.txt", "a/001.png\n"),
        ("classes.txt", "drone\n"),
        ("a/001.txt", "0 0.421875 0.479166667 0.09375 0.125\n"),
    ):
        write_text(tmp_path / "labels" / name, text)
    write_text(tmp_path / "labels/latin.txt", "größe", "latin-1")
    assert np.allclose(made(tmp_path, images, "epoch,loss\n1,0.5\n", "results.csv")["a", 1], [BOX], atol=1e-3)
