"""Videos with csv labels to COCO json and frames."""

import json

import numpy as np
import pytest
from trees import real_data, write_text

from utils.datasets.dataset import open_dataset
from utils.images.image_files import read_frame
from utils.system.errors import UserError
from utils.video.sources import open_sources
from utils.video.writers import VideoWriter
from utils_coco import csv_to_coco
from utils_coco.video_labels import labelled_videos, read_labels

SIZE = (64, 96)  # h, w
HEAD = "frame,class,x,y,w,h\n"
JSON = "annotations/instances_test2017.json"


def video(path, frames):
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, 25) as writer:
        for i in range(frames):
            picture = np.full((*SIZE, 3), 20 * i, np.uint8)
            picture[10:18, 30:38] = 255
            writer.write(picture)
    return path


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    video(folder / "bird_2.mp4", 7)
    video(folder / "drone_10.mp4", 5)
    return folder


@pytest.fixture
def made(tmp_path, films):
    """Labels of two videos: bird_2 lacks boxes in its frame 3 and has two in its frame 4."""
    rows = [
        "1,BIRD,31.0,11.0,8.0,8.0",
        "2,BIRD,31,11,8,8",
        "4,BIRD,31.5,11.1,8,8.3",
        "4,DRONE,1,1,96,64",
        "5,BIRD,31,11,8,8",
        "6,BIRD,31,11,8,8",
        "7,BIRD,31,11,8,8",
    ]
    write_text(tmp_path / "labels/bird_2.csv", HEAD + "\n".join(rows))
    write_text(tmp_path / "labels/drone_10.csv", "\ufeffclass, frame,x,y,w,h,speed\r\nDRONE,5,31,11,8,8,2\r\n\r\n")
    return {"labels": str(tmp_path / "labels"), "videos": str(films), "out": str(tmp_path / "out"), "quiet": True}


def read(made):
    with open(f"{made['out']}/{JSON}") as file:
        return json.load(file)


def test_json_of_every_frame(made):
    line, left_out = csv_to_coco.convert(**made)
    assert line.endswith("2 videos, 12 images, 8 boxes (5 images without), categories BIRD, DRONE")
    assert left_out == "left out: columns speed"
    found = read(made)
    assert [image["file_name"] for image in found["images"]] == [f"bird_2/{i}.png" for i in range(7)] + [
        f"drone_10/{i}.png" for i in range(5)
    ]
    assert found["images"][8] == {"id": 9, "file_name": "drone_10/1.png", "width": 96, "height": 64, "video_frame": 1}
    boxes = [(a["image_id"], a["category_id"], a["bbox"]) for a in found["annotations"]]
    assert boxes[2:4] == [(4, 1, [30.5, 10.1, 8, 8.3]), (4, 2, [0, 0, 96, 64])] and boxes[7] == (12, 2, [30, 10, 8, 8])


def test_frames_make_a_dataset(made, tmp_path, films):
    csv_to_coco.convert(**made, frames=True)
    dataset = open_dataset(made["out"], "test", "boxes")
    assert {name: [f.number for f in frames] for name, frames in dataset.sequences.items()} == {
        "bird_2": list(range(7)),
        "drone_10": list(range(5)),
    }
    bird = dataset.sequences["bird_2"]
    assert bird[0].boxes == ((30, 10, 38, 18, 0),) and bird[2].boxes == () and len(bird[3].boxes) == 2
    for frame, source in zip(bird, open_sources(films / "bird_2.mp4")[0], strict=True):
        assert (read_frame(frame.image) == source.image).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels", "out"]


def test_frames_under_a_json_made_before(made, tmp_path):
    csv_to_coco.convert(**made)
    csv_to_coco.convert(**{**made, "out": str(tmp_path / "frames")}, frames=True)
    before = open_dataset(tmp_path / "frames", "test", "boxes").frames
    (tmp_path / "frames" / JSON).write_text((tmp_path / "out" / JSON).read_text())
    assert open_dataset(tmp_path / "frames", "test", "boxes").frames == before


def test_stride_and_most(made):
    *_, left_out = csv_to_coco.convert(**made, stride=3, max_frames=2, frames=True, split="train", one_class=True)
    assert left_out == (
        "left out: 8 frames with 5 boxes (--stride, --max-frames); class names (BIRD 6, DRONE 2); columns speed"
    )
    frames = open_dataset(made["out"], "train", "boxes").frames
    assert [(f.sequence, f.number, len(f.boxes)) for f in frames] == [
        ("bird_2", 0, 1),
        ("bird_2", 1, 2),
        ("drone_10", 0, 0),
        ("drone_10", 1, 0),
    ]
    assert {box[4] for frame in frames for box in frame.boxes} == {0}
    with open(f"{made['out']}/annotations/instances_train2017.json") as file:
        found = json.load(file)
    assert [image["video_frame"] for image in found["images"]] == [0, 3, 0, 3]
    assert found["categories"] == [{"id": 1, "name": "target"}]
    assert abs(float(read_frame(frames[1].image)[40:, :20].mean()) - 60) < 3  # the video's frame 3


def test_stride_without_frames_names_places_in_the_video(made):
    csv_to_coco.convert(**made, stride=3)
    assert [image["file_name"] for image in read(made)["images"]] == [
        "bird_2/0.png",
        "bird_2/3.png",
        "bird_2/6.png",
        "drone_10/0.png",
        "drone_10/3.png",
    ]


def test_videos_without_labels(made, films, tmp_path):
    (tmp_path / "labels/drone_10.csv").unlink()
    write_text(tmp_path / "labels/bird_2.csv", HEAD)
    line, left_out = csv_to_coco.convert(**made)
    assert line.endswith("1 videos, 7 images, 0 boxes (7 images without), categories target")
    assert left_out == "left out: 1 videos without a csv (drone_10.mp4)"


# --- bad input -------------------------------------------------------------------------------------------------------


def stops(made, tmp_path, *parts, **options):
    """Converting raises one line with all of `parts`, with frames and without, and leaves nothing behind."""
    before = sorted(tmp_path.rglob("*"))
    for frames in (False, True):
        with pytest.raises(UserError) as caught:
            csv_to_coco.convert(**{**made, "frames": frames, **options})
        assert all(part in str(caught.value) for part in parts) and "\n" not in str(caught.value), caught.value
        assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "text, parts",
    [
        ("", ["no column frame", "columns: none"]),
        ("frame,class,x,y,w\n1,B,1,1,2\n", ["no column h", "frame,class,x,y,w"]),
        (HEAD + "1,B,1,1,2\n", ["line 2", "1,B,1,1,2", "numbers x,y,w,h"]),
        (HEAD + "1,B,1,1,2,2\n\n1,B,1,1,2,2,9\n", ["line 4"]),
        (HEAD + "1.5,B,1,1,2,2\n", ["line 2", "frame number"]),
        (HEAD + "0,B,1,1,2,2\n", ["line 2", "from 1"]),
        (HEAD + "1,,1,1,2,2\n", ["line 2", "class"]),
        (HEAD + "1,B,1,one,2,2\n", ["line 2", "one"]),
        (HEAD + "1,B,nan,1,2,2\n", ["line 2", "nan"]),
        (HEAD + "1,B,1,1,0,2\n", ["line 2", "of no area"]),
        (HEAD + "1,B,1,1,2,2\n2,B,90,1,9,9\n", ["line 3", "outside the image of 96x64"]),
        (HEAD + "1,B,1,1,2,2\n9,B,1,1,2,2\n", ["line 3", "frame 9", "at most 7", "bird_2.mp4"]),
    ],
)
def test_broken_labels(made, tmp_path, text, parts):
    stops(
        {**made, "labels": str(write_text(tmp_path / "labels/bird_2.csv", text).parent)}, tmp_path, "bird_2.csv", *parts
    )


def test_broken_later_videos_leave_no_frames(made, tmp_path):
    write_text(tmp_path / "labels/drone_10.csv", HEAD + "1,B,1,1,2,2\n6,B,1,1,2,2\n")
    stops(made, tmp_path, "drone_10.csv", "line 3", "at most 5")


def test_missing_and_unreadable_videos(made, tmp_path):
    stops(made, tmp_path, "no such folder", "--labels", labels=str(tmp_path / "none"))
    stops(made, tmp_path, "no such folder", "--videos", videos=str(tmp_path / "none"))
    stops(made, tmp_path, "no csv file", labels=made["videos"])
    stops(made, tmp_path, "found 0 videos of that name", videos=made["labels"])
    for name in ("bird_2.mp4", "drone_10.mp4"):
        write_text(tmp_path / "broken" / name, "no video")
    stops(made, tmp_path, "not a readable video", videos=str(tmp_path / "broken"))
    write_text(tmp_path / "broken" / "bird_2.avi", "no video")
    stops(made, tmp_path, "found 2 videos of that name", videos=str(tmp_path / "broken"))


def test_what_is_there_is_kept(made, tmp_path):
    write_text(tmp_path / "out" / JSON, "{}")
    with pytest.raises(UserError, match="--overwrite"):
        csv_to_coco.convert(**made)
    with pytest.raises(UserError, match="new or empty folder"):
        csv_to_coco.convert(**made, frames=True, overwrite=True)
    assert (tmp_path / "out" / JSON).read_text() == "{}"
    csv_to_coco.convert(**made, overwrite=True)
    assert len(read(made)["images"]) == 12
    (tmp_path / "empty").mkdir()
    csv_to_coco.convert(**{**made, "out": str(tmp_path / "empty")}, frames=True)
    assert len(open_dataset(tmp_path / "empty", "test", "boxes").frames) == 12
    write_text(tmp_path / "file", "x")
    stops(made, tmp_path, "file", out=str(tmp_path / "file"))


def test_command(made, capsys):
    words = [word for key in ("labels", "videos", "out") for word in (f"--{key}", made[key])]
    csv_to_coco.main([*words, "--max-frames", "1", "--quiet"])
    assert "2 videos, 2 images, 1 boxes" in capsys.readouterr().out
    for wrong in (["--stride", "0"], ["--max-frames", "x"], ["--split", "val"]):
        with pytest.raises(UserError, match=wrong[0]):
            csv_to_coco.main([*words, *wrong])


# --- the real data ---------------------------------------------------------------------------------------------------


def test_real_labels(tmp_path):
    root = real_data("DroneIR-dev")
    found, without = labelled_videos(str(root / "labels"), str(root / "videos"))
    assert (len(found), sum(len(item.labels) for item in found), without) == (52, 16482, [])
    table = write_text(tmp_path / "labels/IR_BIRD_015.csv", (root / "labels/IR_BIRD_015.csv").read_text())
    assert len(read_labels(table)[0]) == 540
    line, _ = csv_to_coco.convert(str(table.parent), str(root / "videos"), str(tmp_path / "out"), quiet=True)
    assert "1 videos, 323 images, 540 boxes (0 images without), categories BIRD" in line
