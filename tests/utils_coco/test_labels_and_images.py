"""Labels held against their images: sizes, borders, shares, regions to ignore, scores and names of classes."""

import json

import pytest
from trees import coco, picture, write, write_text

from utils.datasets.dataset import open_dataset
from utils.images.box_masks import boxes_of_mask
from utils.images.masks.values import read_mask
from utils.system.errors import UserError
from utils.system.notices import hold_warnings
from utils_coco import boxes_to_masks, coco_to_txt, txt_to_coco
from utils_coco.borders import Borders
from utils_coco.class_names import read_names
from utils_coco.import_labels import convert, main

KEYS = [f"a/{number}" for number in range(4)]  # images are 32 x 24


@pytest.fixture
def images(tmp_path):
    for number, key in enumerate(KEYS):
        write(tmp_path / f"images/{key}.png", picture(number))
    return tmp_path / "images"


def imported(tmp_path, images, **options):
    """What the import says, its warnings, and the frames of the dataset."""
    with hold_warnings() as warnings:
        said = convert(str(images), str(tmp_path / "labels"), str(tmp_path / "out"), fraction=0, **options)
    return said, warnings, open_dataset(tmp_path / "out", "all", "boxes").frames


def voc(path, corners, size="", more=""):
    names = ("xmin", "ymin", "xmax", "ymax")
    box = "".join(f"<{name}>{value}</{name}>" for name, value in zip(names, corners, strict=True))
    return write_text(
        path, f"<annotation>{size}<object><name>drone</name>{more}<bndbox>{box}</bndbox></object></annotation>"
    )


def yolo(tmp_path, lines, key=KEYS[0]):
    return write_text(tmp_path / f"labels/{key}.txt", lines)


def table(tmp_path, text):
    return write_text(tmp_path / "labels/a.csv", text)


def json_labels(tmp_path, content):
    return write_text(tmp_path / "labels/x.json", json.dumps(content))


# --- size ------------------------------------------------------------------------------------------------------------


def declares(tmp_path, kind, width, height):
    if kind == "coco":
        json_labels(tmp_path, coco([f"{key}.png" for key in KEYS], size=(height, width)))
    elif kind == "voc":
        size = f"<size><width>{width}</width><height>{height}</height><depth>1</depth></size>"
        for key in KEYS:
            voc(tmp_path / f"labels/{key}.xml", (13, 11, 15, 13), size)
    else:
        rows = [f"{key}.png,{width},{height},x,12,10,15,13" for key in KEYS]
        table(tmp_path, "\n".join(["filename,width,height,class,xmin,ymin,xmax,ymax", *rows]))


@pytest.mark.parametrize("kind", ["coco", "voc", "csv"])
def test_another_size_than_the_labels_declare_stops_and_names_every_image(tmp_path, images, kind):
    declares(tmp_path, kind, 64, 48)
    with pytest.raises(UserError) as caught:
        imported(tmp_path, images)
    text = str(caught.value)
    assert text.count("declare 64x48 (w x h), the file has 32x24") == 4 and "\n" not in text
    assert all(f"images/{key}.png" in text for key in KEYS) and not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["coco", "voc", "csv"])
@pytest.mark.parametrize("width, height", [(32, 24), (0, 0)])
def test_the_same_size_and_none_pass(tmp_path, images, kind, width, height):
    declares(tmp_path, kind, width, height)
    _, warnings, frames = imported(tmp_path, images)
    assert [frame.boxes for frame in frames] == [((12, 10, 15, 13, 0),)] * 4 and not warnings


def test_columns_of_the_boxs_own_sides_declare_nothing(tmp_path, images):
    table(tmp_path, "image,xmin,ymin,xmax,ymax,width,height\na/0.png,12,10,15,13,3,3\n")
    assert imported(tmp_path, images)[2][0].boxes == ((12, 10, 15, 13, 0),)


def test_lists_and_masks_of_a_dataset_are_held_against_its_files_too(tmp_path, images):
    content = coco([f"images/{key}.png" for key in KEYS], size=(48, 64))
    path = write_text(tmp_path / "annotations/instances_train.json", json.dumps(content))
    with pytest.raises(UserError, match="found 4 images of another size .* declare 64x48"):
        coco_to_txt.convert(str(path), image_root=str(tmp_path))
    with pytest.raises(UserError, match="found 4 images of another size .* declare 64x48"):
        boxes_to_masks.convert(str(tmp_path), quiet=True)
    assert not (tmp_path / "masks").exists()


# --- borders ---------------------------------------------------------------------------------------------------------

OVER = "0 0.98 0.5 0.1 0.1\n"  # 29.76 to 32.96 of 32, then one of the border's rounding, one far outside, one inside
LINES = [OVER, "0 0.5 0.98 0.2 0.06\n", "0 0.5 0.5 0.1 0.1\n0 0.99 0.99 0.9 0.9\n", "0 1 1 0.5 0.5\n"]


def test_boxes_over_the_border_are_listed_all_at_once(tmp_path, images):
    for key, lines in zip(KEYS, LINES, strict=True):
        yolo(tmp_path, lines, key)
    with pytest.raises(UserError) as caught:
        imported(tmp_path, images)
    text = str(caught.value)
    assert text.count("outside the image of 32x24") == 2 and "--cut" in text
    assert all((f"{key}.png" in text) == (key in KEYS[2:]) for key in KEYS)


def test_cut_cuts_at_the_border_and_counts(tmp_path, images):
    for key, lines in zip(KEYS, LINES, strict=True):
        yolo(tmp_path, lines, key)
    table(tmp_path, "")
    (tmp_path / "labels/a.csv").unlink()
    said, _, frames = imported(tmp_path, images, cut=True)
    assert "cut at their image's border: 2 boxes" in said
    assert frames[3].boxes == ((24, 18, 32, 24, 0),)
    assert frames[0].boxes[0][:4] == pytest.approx((29.76, 10.8, 32, 13.2))  # by less than a pixel: not counted


def test_boxes_wholly_outside_are_left_out_and_counted(tmp_path, images):
    table(tmp_path, "image,x,y,w,h\na/0.png,40,3,4,4\na/0.png,4,3,4,4\na/1.png,-9,3,4,4\n")
    with pytest.raises(UserError, match=r"found 2 places .*box 40,3,44,7 .*box -9,3,-5,7"):
        imported(tmp_path, images)
    said, _, frames = imported(tmp_path, images, cut=True)
    assert "left out, wholly outside of their image: 2 boxes" in said
    assert [frame.boxes for frame in frames[:2]] == [((4, 3, 8, 7, 0),), ()]


def test_a_box_of_no_area_stops_with_cut_too(tmp_path, images):
    table(tmp_path, "image,x1,y1,x2,y2\na/0.png,5,3,5,9\n")
    with pytest.raises(UserError, match="of no area"):
        imported(tmp_path, images, cut=True)


def test_the_command_has_the_option(tmp_path, images, capsys):
    table(tmp_path, "image,x,y,w,h\na/0.png,30,3,4,4\n")
    main(["--images", str(images), "--labels", str(tmp_path / "labels"), "--out", str(tmp_path / "out"), "--cut"])
    assert "cut at their image's border: 1 boxes" in capsys.readouterr().out


@pytest.mark.parametrize(
    "box, size, cut, fitted",
    [
        ((1, 2, 3, 4, 7), (9, 9), False, (1, 2, 3, 4, 7)),
        ((-1, 2, 3, 4), (9, 9), False, (0, 2, 3, 4)),
        ((-1.01, 2, 3, 4), (9, 9), False, None),
        ((-1.01, 2, 3, 4), (9, 9), True, (0, 2, 3, 4)),
        ((1, 2, 10, 4), (9, 9), False, (1, 2, 9, 4)),
        ((1, 2, 3, 40), (9, 8), True, (1, 2, 3, 9)),
        ((9, 2, 9.5, 4), (9, 9), False, None),
        ((9, 2, 9.5, 4), (9, 9), True, None),
        ((1, 2, 1, 4), (9, 9), True, None),
    ],
)
def test_a_box_is_fitted_into_its_image(box, size, cut, fitted):
    assert Borders(cut).fit("x", box, size) == fitted


def test_lists_keep_what_rounding_leaves_outside():
    assert Borders(True, exact=True).fit("x", (-1, 2, 3, 4), (9, 9)) == (-1, 2, 3, 4)
    assert Borders(True, exact=True).fit("x", (-1.5, 2, 3, 4), (9, 9)) == (0, 2, 3, 4)


def test_a_long_list_says_how_many_more_there_are():
    borders = Borders()
    for number in range(35):
        borders.fit(f"image{number}.png", (0, 0, 99, 9), (9, 9))
    with pytest.raises(UserError, match=r"found 35 places .*image29\.png.*; and 5 more; correct them, or give --cut"):
        borders.require("correct them")


def test_lists_are_cut_on_request(tmp_path, images):
    lists = write_text(tmp_path / "train.txt", "images/a/0.png 28,20,40,30,0\nimages/a/1.png 4,4,8,8,0\n")
    with pytest.raises(UserError, match="box 28,20,40,30 .*give --cut"):
        txt_to_coco.convert(str(lists), str(tmp_path / "a.json"), quiet=True)
    with pytest.raises(UserError, match="box 28,20,40,30 .*import_labels … --cut"):
        boxes_to_masks.convert(str(tmp_path), method="box", dilate=False, quiet=True)
    assert not (tmp_path / "masks").exists()
    assert "cut at their image's border: 1 boxes" in txt_to_coco.convert(str(lists), quiet=True, cut=True)
    content = json.loads((tmp_path / "train.json").read_text())
    assert [item["bbox"] for item in content["annotations"]] == [[28, 20, 4, 4], [4, 4, 4, 4]]
    content["annotations"][0]["bbox"] = [30, 22, 9, 9]
    path = write_text(tmp_path / "b.json", json.dumps(content))
    with pytest.raises(UserError, match="box 30,22,39,31 .*give --cut"):
        coco_to_txt.convert(str(path))
    coco_to_txt.convert(str(path), cut=True)
    assert (tmp_path / "b.txt").read_text() == "images/a/0.png 30,22,32,24,0\nimages/a/1.png 4,4,8,8,0\n"


# --- shares ----------------------------------------------------------------------------------------------------------

SHARES = "found shares of the image's sides, expected pixels"


@pytest.mark.parametrize(
    "text",
    [
        "image,x,y,w,h\na/0.png,0.4,0.4,0.1,0.2\n",
        "image,x,y,w,h\na/0.png,0,0,1,1\na/1.png,0.5,0.25,0.125,0.125\n",  # a box of the whole picture among others
        "image,x,y,w,h\na/0.png,0,0,1,1\n",
        "image,xmin,ymin,xmax,ymax\na/0.png,0.1,0.1,1,1\n",
        "image,cx,cy,w,h\na/0.png,0.5,0.5,1,1.0002\n",
        "image,x,y\na/0.png,0.5,1\na/1.png,0,1\n",
    ],
)
def test_tables_in_shares_are_refused_whatever_the_box(tmp_path, images, text):
    table(tmp_path, text)
    with pytest.raises(UserError, match=SHARES):
        imported(tmp_path, images)


def test_the_first_pixels_are_places_too(tmp_path, images):
    table(tmp_path, "image,x,y\na/0.png,0,1\n")
    assert imported(tmp_path, images)[2][0].boxes == ((0, 0, 3.5, 4.5, 0),)


def test_a_centroid_outside_of_its_image_stops(tmp_path, images):
    table(tmp_path, "image,x,y\na/0.png,31,23\na/1.png,33,5\n")
    with pytest.raises(UserError, match="1.png: box 29.5,1.5,36.5,8.5 .*outside") as caught:
        imported(tmp_path, images)
    assert "0.png" not in str(caught.value)


def test_some_boxes_within_the_first_pixel_are_named(tmp_path, images):
    table(tmp_path, "image,x,y,w,h\na/0.png,0.25,0.5,0.25,0.25\na/1.png,4,4,5,5\n")
    _, warnings, _ = imported(tmp_path, images)
    assert len(warnings) == 1 and "1 of 2 boxes lie within the first pixel" in warnings[0]


def test_other_formats_in_shares_are_refused_too(tmp_path, images):
    path = json_labels(tmp_path, coco([f"{key}.png" for key in KEYS], [(0.5, 0.25, 0.25, 0.125)]))
    with pytest.raises(UserError, match=SHARES):
        imported(tmp_path, images)
    path.unlink()
    voc(tmp_path / "labels/a/0.xml", (0.25, 0.5, 0.375, 1))
    with pytest.raises(UserError, match=SHARES):
        imported(tmp_path, images)
    lists = write_text(tmp_path / "train.txt", "images/a/0.png 0.25,0.25,0.5,1,0\n")
    with pytest.raises(UserError, match=SHARES):
        open_dataset(tmp_path, "train", "boxes")
    with pytest.raises(UserError, match=SHARES):
        txt_to_coco.convert(str(lists), quiet=True)


def test_yolo_boxes_of_the_whole_picture_are_whole_pictures(tmp_path, images):
    yolo(tmp_path, "0 0.5 0.5 1 1\n0 0.5 0.5 1.0 1.000\n")
    assert imported(tmp_path, images)[2][0].boxes == ((0, 0, 32, 24, 0),)
    with pytest.raises(UserError, match="four shares of the image's sides"):
        convert(str(images), str(yolo(tmp_path, "0 16 12 3 3\n").parent), str(tmp_path / "b"))


# --- regions to ignore -----------------------------------------------------------------------------------------------


def test_regions_to_ignore_are_kept_in_every_format(tmp_path, images):
    target, crowd = (12, 10, 15, 13, 0), (2, 2, 10, 9, 0)
    content = coco([f"{key}.png" for key in KEYS[:1]])
    content["annotations"].append(content["annotations"][0] | {"id": 9, "bbox": [2, 2, 8, 7], "iscrowd": 1})
    wild = "<object><name>drone</name><difficult>1</difficult><bndbox><xmin>3</xmin><ymin>3</ymin><xmax>10</xmax>"
    wild += "<ymax>9</ymax></bndbox></object>"
    for number, make in enumerate(
        (
            lambda folder: write_text(folder / "x.json", json.dumps(content)),
            lambda folder: write_text(
                voc(folder / "a/0.xml", (13, 11, 15, 13), more="<difficult>0</difficult>"),
                (folder / "a/0.xml").read_text().replace("</annotation>", f"{wild}</annotation>"),
            ),
            lambda folder: write_text(folder / "a.csv", "image,x,y,w,h,ignore\na/0,12,10,3,3,0\na/0,2,2,8,7,1\n"),
        )
    ):
        make(tmp_path / f"labels{number}")
        out = tmp_path / f"out{number}"
        said = convert(str(images), str(tmp_path / f"labels{number}"), str(out), fraction=0)
        assert "train: 4 images, 1 boxes (3 images without), 1 regions to ignore" in said
        frame = open_dataset(out, "train", "boxes").frames[0]
        assert frame.boxes == (target,) and frame.ignored == (crowd,) and frame.declared == (24, 32)
        written = json.loads((out / "annotations/instances_train2017.json").read_text())["annotations"]
        assert [item["iscrowd"] for item in written] == [0, 1]


def test_regions_of_no_targets_class_count_for_every_class(tmp_path, images):
    rows = ["a/0,12,10,3,3,bird,0", "a/0,2,2,8,7,ignored regions,1", "a/1,12,10,3,3,drone,0", "a/1,2,2,8,7,drone,1"]
    table(tmp_path, "\n".join(["image,x,y,w,h,class,ignore", *rows]))
    said, _, frames = imported(tmp_path, images)
    assert (
        "classes: 0 bird, 1 drone" in said and "regions to ignore called ignored regions count for every class" in said
    )
    assert frames[0].boxes == ((12, 10, 15, 13, 0),) and [box[4] for box in frames[0].ignored] == [0, 1]
    assert frames[1].boxes == ((12, 10, 15, 13, 1),) and frames[1].ignored == ((2, 2, 10, 9, 1),)


@pytest.mark.parametrize("word, said", [("maybe", "found 'maybe', expected 0 or 1"), ("2", "found '2'")])
def test_a_flag_that_says_neither_stops(tmp_path, images, word, said):
    voc(tmp_path / "labels/a/0.xml", (13, 11, 15, 13), more=f"<difficult>{word}</difficult>")
    with pytest.raises(UserError, match=said):
        imported(tmp_path, images)


def test_lines_and_masks_have_no_regions_to_ignore_and_say_so(tmp_path, images):
    content = coco([f"images/{key}.png" for key in KEYS[:1]])
    content["annotations"].append(content["annotations"][0] | {"id": 9, "bbox": [2, 2, 8, 7], "ignore": 1})
    path = write_text(tmp_path / "annotations/instances_train.json", json.dumps(content))
    said = coco_to_txt.convert(str(path), str(tmp_path / "x.txt"))
    assert (tmp_path / "x.txt").read_text() == "images/a/0.png 12,10,15,13,0\n"
    assert "regions to ignore, with their boxes (1 annotations)" in said[1]
    (said,) = boxes_to_masks.convert(str(tmp_path), method="box", dilate=False, quiet=True)
    assert "1 targets" in said and "1 regions to ignore (crowd, ignore, difficult) give no targets" in said
    assert boxes_of_mask(read_mask(tmp_path / "masks/a/0.png")).tolist() == [[12, 10, 15, 13]]


# --- scores ----------------------------------------------------------------------------------------------------------


def test_a_sixth_column_of_yolo_is_named_with_its_count(tmp_path, images):
    yolo(tmp_path, "0 0.5 0.5 0.1 0.1 0.03\n0 0.2 0.2 0.1 0.1 0.5\n")
    yolo(tmp_path, "0 0.5 0.5 0.1 0.1\n", KEYS[1])
    _, warnings, frames = imported(tmp_path, images)
    assert len(warnings) == 1 and "2 of 3 boxes have a score" in warnings[0] and "(0.03 to 0.5)" in warnings[0]
    assert "predictions" in warnings[0] and [len(frame.boxes) for frame in frames] == [2, 1, 0, 0]


@pytest.mark.parametrize(
    "lines, tracks, warned",
    [
        ("0 0.5 0.5 0.1 0.1 7\n0 0.2 0.2 0.1 0.1 1\n", (7, 1), ""),  # Ultralytics' save_txt without save_conf
        ("0 0.5 0.5 0.1 0.1 7\n0 0.2 0.2 0.1 0.1 7\n", (), "2 of 2 boxes have a score or another number"),
        ("0 0.5 0.5 0.1 0.1 1\n0 0.2 0.2 0.1 0.1 0\n", (), "(0 to 1)"),
        ("0 0.5 0.5 0.1 0.1 1\n0 0.2 0.2 0.1 0.1 2.5\n", (), "(1 to 2.5)"),
        ("0 0.5 0.5 0.1 0.1 0.25 7\n0 0.2 0.2 0.1 0.1 0.75\n", (7, -1), "(0.25 to 0.75)"),  # with save_conf
        ("0 0.5 0.5 0.1 0.1 1 1\n0 0.2 0.2 0.1 0.1 1 0\n0 0.3 0.3 0.1 0.1 1 2\n", (1, 0, 2), ""),
        ("0 0.5 0.5 0.1 0.1 1 1\n0 0.2 0.2 0.1 0.1 1 0\n0 0.3 0.3 0.1 0.1 1 1\n", (1, 0, 1), ""),
    ],
)
def test_whole_numbers_behind_boxes_are_ids_of_tracks(tmp_path, images, lines, tracks, warned):
    yolo(tmp_path, lines)
    said, warnings, frames = imported(tmp_path, images)
    assert frames[0].tracks == tracks and len(frames[0].boxes) == lines.count("\n")
    assert [warned in line for line in warnings] == ([True] if warned else [])
    assert any("have the id of a track" in line for line in said) == bool(tracks)


@pytest.mark.parametrize("line", ["0 0.5 0.5 0.1 0.1 1.5 7", "0 0.5 0.5 0.1 0.1 0.5 -7", "0 0.5 0.5 0.1 1.1 0.5 7"])
def test_broken_columns_of_scores_and_ids_stop(tmp_path, images, line):
    yolo(tmp_path, f"0 0.5 0.5 0.1 0.1 0.5 9\n{line}\n")
    with pytest.raises(UserError, match="0.txt: line 2: found"):
        imported(tmp_path, images)


def test_scores_in_tables_and_json_are_named_too(tmp_path, images):
    path = table(tmp_path, "image,x,y,w,h,confidence\na/0.png,12,10,3,3,0.25\na/1.png,12,10,3,3,high\n")
    assert "1 of 2 boxes have a score" in imported(tmp_path, images)[1][0]
    path.unlink()
    json_labels(tmp_path, coco([f"{key}.png" for key in KEYS], score=0.5))
    with hold_warnings() as warnings:
        convert(str(images), str(tmp_path / "labels"), str(tmp_path / "b"))
    assert "4 of 4 boxes have a score" in warnings[0]


# --- names of classes ------------------------------------------------------------------------------------------------

NAMES = {
    "data.yaml": "train: x\nnames: [bird, drone]  # two\nnc: 2\n",
    "dataset.yaml": "names:\n  0: bird\n  1: 'drone'\nnc: 2\n",
    "x.yml": 'names:\n- bird\n- "drone"\n',
    "DATA.YAML": "names: {0: bird, 1: drone}\n",
    "obj.names": "bird\ndrone\n",
    "classes.txt": "bird\r\ndrone\r\n",
}


@pytest.mark.parametrize("where", ["labels", "."])
@pytest.mark.parametrize("name", NAMES)
def test_class_names_are_found_beside_the_labels(tmp_path, images, name, where):
    yolo(tmp_path, "1 0.5 0.5 0.1 0.1\n")
    write_text(tmp_path / where / name, NAMES[name])
    said, warnings, frames = imported(tmp_path, images)
    assert "classes: 0 drone" in said and not warnings and frames[0].boxes[0][4] == 0
    content = json.loads((tmp_path / "out/annotations/instances_train2017.json").read_text())
    assert content["categories"] == [{"id": 1, "name": "drone"}]


@pytest.mark.parametrize(
    "text, names",
    [
        ("names: [\n  bird,\n  drone,\n]\n", {0: "bird", 1: "drone"}),
        ('"names": ["sea bird", drone]', {0: "sea bird", 1: "drone"}),
        ("names:\n\n  # first\n  3: bird\nnc: 1", {3: "bird"}),
        ("names: ['#1', b #2]", None),
        ("names: ['#1', b] # two", {0: "#1", 1: "b"}),
        ("nc: 2\n", {}),
        ("path: names:\n", {}),
        ("names: bird", None),
        ("names: *other", None),
        ("names: [a, [b]]", None),
        ("names:\n  - {a: b}\n", None),
        ("names: [a, b", None),
        ("names:\n  a: 0\n", None),
    ],
)
def test_lists_and_tables_of_names_in_yaml(tmp_path, text, names):
    path = write_text(tmp_path / "data.yaml", text)
    if names is None:
        with pytest.raises(UserError, match="line 1: cannot read 'names'"):
            read_names(path)
    else:
        assert read_names(path) == names


def test_folders_that_number_classes_in_another_order_have_names_of_their_own(tmp_path, images):
    for folder, names in (("a", "bird\ndrone\n"), ("b", "drone\nbird\n")):
        write(tmp_path / f"images/{folder}/9.png", picture(9))
        yolo(tmp_path, "0 0.5 0.5 0.1 0.1\n", f"{folder}/9")
        write_text(tmp_path / f"labels/{folder}/classes.txt", names)
    said, _, frames = imported(tmp_path, images)
    assert "classes: 0 bird, 1 drone" in said
    assert [box[4] for frame in frames for box in frame.boxes] == [0, 1]


def test_names_that_contradict_each_other_stop(tmp_path, images):
    yolo(tmp_path, "1 0.5 0.5 0.1 0.1\n")
    write_text(tmp_path / "labels/classes.txt", "drone\nbird\n")
    write_text(tmp_path / "labels/data.yaml", NAMES["data.yaml"])
    with pytest.raises(UserError, match="names other classes than .*classes.txt"):
        imported(tmp_path, images)


def test_classes_without_a_name_are_told(tmp_path, images):
    yolo(tmp_path, "1 0.5 0.5 0.1 0.1\n4 0.2 0.2 0.1 0.1\n")
    said, _, _ = imported(tmp_path, images)
    assert any("no name for the classes 1, 4" in line for line in said) and "classes: 0 class1, 1 class4" in said
