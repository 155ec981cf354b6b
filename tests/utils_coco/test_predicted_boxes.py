"""What `vid_predict.py` has found goes out to other programs, is corrected there, and comes back as labels."""

import csv
import json
from xml.etree import ElementTree

import numpy as np
import pytest
from trees import picture, write, write_text

from utils.datasets.dataset import open_dataset
from utils.predictor.prediction import from_boxes
from utils.predictor.tracking.tracker import Tracker
from utils.render.result_files import RESULT_FILES, Results
from utils.system.errors import UserError
from utils.video.sources import SourceFrame
from utils_coco import coco_to_cvat, coco_to_labelme, coco_to_mot, coco_to_yolo
from utils_coco.box_source import open_boxes
from utils_coco.import_labels import convert

SIZE = (48, 64)
NUMBERS = (7, 8, 9, 10, 11)


@pytest.fixture
def results(tmp_path):
    """Five images of a target that moves, another one in the first, none in the last; and their results."""
    folder = tmp_path / "found"
    folder.mkdir()
    about = {"source": "film", "sequence": "film", "task": "detection", "threshold": 0.5}
    with Results(folder, about, ["target"], Tracker()) as made:
        for place, number in enumerate(NUMBERS):
            path = write(tmp_path / f"img/film/{number:04d}.png", picture(number, SIZE))
            boxes = [[10 + 2 * place, 9.125, 14 + 2 * place, 12.25, 0.75, 0]] * (number < 11)
            boxes += [[40, 30, 44, 34, 0.625, 0]] * (number == 7)
            frame = SourceFrame(number, picture(number, SIZE), path.stem, str(path))
            made.add(frame, from_boxes(number, np.array(boxes, np.float32).reshape(-1, 6), SIZE, 0.5), None)
    return folder


def boxes_of(source):
    """Frame, corners, track and score of every box."""
    return [
        (image["frame"], *map(float, box[:4]), box.track, float(box.score))
        for image, own in zip(source.content["images"], source.boxes, strict=True)
        for box in own
    ]


def moving(tracks):
    return [
        (number, 10 + 2 * place, 9.125, 14 + 2 * place, 12.25, track, 0.75)
        for place, (number, track) in enumerate(zip(NUMBERS, tracks, strict=False))
    ]


def test_the_folder_of_results_is_its_coco_json(results):
    alone = (7, 40, 30, 44, 34, None, 0.625)
    first, *others = moving((None, None, 1, 1))
    assert boxes_of(open_boxes(str(results))) == [first, alone, *others]
    assert open_boxes(str(results)).names == [f"{number:04d}.png" for number in NUMBERS]


def test_predictions_json_has_all_boxes_without_ids(results):
    alone = (7, 40, 30, 44, 34, None, 0.625)
    first, *others = moving((None,) * 4)
    source = open_boxes(str(results / RESULT_FILES[0]))
    assert boxes_of(source) == [first, alone, *others] and source.categories == ["target"]
    assert source.sizes == [SIZE] * 5 and source.boxes[4] == []


def test_tracks_csv_has_the_boxes_of_tracks_as_they_were_smoothed(results):
    rows = list(csv.DictReader((results / "tracks.csv").read_text().splitlines()))
    source = open_boxes(str(results / "tracks.csv"))
    given = [(int(row["frame"]), float(row["x"]), float(row["y"]), int(row["id"]), float(row["score"])) for row in rows]
    assert [(number, x, y, track, score) for number, x, y, _, _, track, score in boxes_of(source)] == given
    assert len(source.names) == 5 and {number for number, *_ in given} == {9, 10}


@pytest.mark.parametrize("name", ["", *RESULT_FILES[:2], "tracks.csv"])
@pytest.mark.parametrize("command", [coco_to_mot, coco_to_cvat, coco_to_labelme, coco_to_yolo])
def test_every_command_takes_all_of_them(results, tmp_path, command, name):
    said = command.convert(str(results / name), str(tmp_path / "lab"))
    assert "5 images, " in said[0]
    said = convert(str(tmp_path / "img"), str(tmp_path / "lab"), str(tmp_path / "out"), fraction=0)
    frames = open_dataset(tmp_path / "out", "all", "boxes").frames
    expected = [0, 0, 1, 1, 0] if name == "tracks.csv" else [2, 1, 1, 1, 0]
    assert [len(frame.boxes) for frame in frames] == expected


def test_predictions_corrected_in_cvat_become_labels(results, tmp_path):
    """A person moves one box, ends the track two frames earlier, and takes out the single box."""
    coco_to_cvat.convert(str(results), str(tmp_path / "lab"))
    path = tmp_path / "lab/found.xml"
    tree = ElementTree.parse(path)
    root = tree.getroot()
    tracks = {item.get("id"): item for item in root.findall("track")}
    long = tracks["1"]
    assert [(box.get("frame"), box.get("outside")) for box in long] == [("2", "0"), ("3", "0"), ("4", "1")]
    for number in set(tracks) - {"1"}:
        root.remove(tracks[number])
    long[0].set("xtl", "13.5")
    long[1].set("outside", "1")
    tree.write(path)
    convert(str(tmp_path / "img"), str(tmp_path / "lab"), str(tmp_path / "out"), fraction=0)
    frames = open_dataset(tmp_path / "out", "all", "boxes").frames
    assert [frame.boxes for frame in frames] == [(), (), ((13.5, 9.125, 18, 12.25, 0),), (), ()]


@pytest.mark.parametrize("film", ["clips/film.mp4", "C:\\clips\\film.AVI", "clips"])
@pytest.mark.parametrize("name", ["", "predictions.json", "tracks.csv"])
def test_frames_of_a_video_file_keep_their_numbers_in_cvat(results, tmp_path, film, name):
    path = results / "predictions.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"source": film}))
    said = coco_to_cvat.convert(str(results / name), str(tmp_path / "lab"))
    root = ElementTree.parse(tmp_path / "lab/found.xml").getroot()
    numbers = {int(box.get("frame")) for box in root.iterfind("track/box[@outside='0']")}
    given = {9, 10} if name == "tracks.csv" else {7, 8, 9, 10}
    assert numbers == ({number - 7 for number in given} if film == "clips" else given)
    assert any(f"numbered by the images' {'order' if film == 'clips' else 'names'}" in line for line in said)
    assert (root.findtext("meta/source") or "") == ("" if film == "clips" else film.replace("\\", "/").split("/")[-1])
    convert(str(tmp_path / "img"), str(tmp_path / "lab"), str(tmp_path / "out"), fraction=0)
    frames = open_dataset(tmp_path / "out", "all", "boxes").frames
    assert {frame.number for frame in frames if frame.boxes} == given


def test_predictions_corrected_in_labelme_become_labels(results, tmp_path):
    coco_to_labelme.convert(str(results), str(tmp_path / "lab"))
    path = tmp_path / "lab/0009.json"
    content = json.loads(path.read_text())
    assert content["imagePath"] == "0009.png" and content["shapes"][0]["group_id"] == 1
    content["shapes"][0]["points"][0] = [13.5, 9]
    content["shapes"].append({"label": "bird", "points": [[3, 4], [5, 4], [4, 6]], "shape_type": "polygon"})
    path.write_text(json.dumps(content))
    convert(str(tmp_path / "img"), str(tmp_path / "lab"), str(tmp_path / "out"), fraction=0)
    frame = open_dataset(tmp_path / "out", "all", "boxes").frames[2]
    assert frame.boxes == ((13.5, 9, 18, 12.25, 1), (3, 4, 5, 6, 0)) and frame.tracks == (1, -1)


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda c: c.update(size=[64]), "found size"),
        (lambda c: c.update(size=[64, 0]), "found size"),
        (lambda c: c.update(frames=c["frames"][0]), "found frames .*, expected a list"),
        (lambda c: c.update(frames=["x"]), "found frame 0 of the list without a usable dict of"),
        (lambda c: c.update(frames=[]), "found an empty list of images"),
        (lambda c: c["frames"][1].update(number="x"), "found frame 1 of the list without a usable 'number'"),
        (lambda c: c["frames"][1].update(name=None), "'name'"),
        (lambda c: c["frames"][1].pop("components"), "'components'"),
        (lambda c: c["frames"][1]["components"].append(3), "frame 8: found a component without a usable dict"),
        (lambda c: c["frames"][1]["components"][0].update(box=[1, 2, 3]), "'box'.*found .1, 2, 3."),
        (lambda c: c["frames"][1]["components"][0].update(box=[1, 2, 1e99, 3]), "'box'"),
        (lambda c: c["frames"][1]["components"][0].update(box=[9, 2, 3, 3]), "of no area"),
        (lambda c: c["frames"][1]["components"][0].update(score=None), "'score'"),
        (lambda c: c["frames"][1]["components"][0].update({"class": 10**9}), "'class'"),
        (lambda c: c["frames"][1]["components"][0].update(box=[60, 2, 70, 9]), "outside the image of 64x48"),
        (lambda c: c["frames"][1].update(name="../x"), "leads out of its folder"),
        (lambda c: c["frames"][1].update(name=c["frames"][0]["name"]), "found image 0007.png twice"),
    ],
)
def test_broken_predictions_are_refused_in_one_line(results, tmp_path, change, message):
    path = results / RESULT_FILES[0]
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=message) as raised:
        coco_to_cvat.convert(str(path), str(tmp_path / "lab"))
    assert len(str(raised.value)) < 500 and not (tmp_path / "lab").exists()


@pytest.mark.parametrize(
    "line, message",
    [
        ("1,9,x,2,3,4,0.5,1", "line 2: found 1,9,x,2,3,4,0.5, expected numbers for id,frame"),
        ("1,9,1,2,3,4", "line 2: found 1,9,1,2,3,4,None"),
        ("-1,9,1,2,3,4,1,1", "line 2"),
        ("1,9,nan,2,3,4,1,1", "line 2"),
        ("1,9,1,2,3,1e99,1,1", "line 2"),
        (f"1,{'9' * 5000},1,2,3,4,1,1", "line 2"),
        ("1,12,1,2,3,4,1,1", "line 2: found frame 12, which is none of .*predictions.json"),
        ("1,9,1,2,3,0,1,1", "of no area"),
    ],
)
def test_broken_tracks_are_refused_in_one_line(results, tmp_path, line, message):
    path = write_text(results / "tracks.csv", f"id,frame,x,y,w,h,score,speed\n{line}\n")
    with pytest.raises(UserError, match=message) as raised:
        coco_to_labelme.convert(str(path), str(tmp_path / "lab"))
    assert len(str(raised.value)) < 500 and not (tmp_path / "lab").exists()


def test_tracks_need_their_columns_and_the_predictions_of_their_run(results, tmp_path):
    path = write_text(results / "tracks.csv", "id,frame,x,y\n")
    with pytest.raises(UserError, match="found no column w, expected numbers for id,frame,x,y,w,h,score"):
        open_boxes(str(path))
    path = write_text(tmp_path / "else/tracks.csv", "id,frame,x,y,w,h,score,speed\n")
    with pytest.raises(UserError, match="found no predictions.json beside it"):
        open_boxes(str(path))
    write_text(tmp_path / "else/predictions.json", "{}")
    with pytest.raises(UserError, match="predictions.json: expected predictions.json of vid_predict.py"):
        open_boxes(str(path))


@pytest.mark.parametrize("name", [*RESULT_FILES[:2], "tracks.csv"])
def test_results_have_their_own_images(results, tmp_path, name):
    with pytest.raises(UserError, match="--images: found with .*, which has its own images"):
        open_boxes(str(results / name), str(results / "coco.json"))
