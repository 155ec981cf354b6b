"""`python -m utils_coco.import_labels` with what the page of `python -m utils.view` has saved."""

import json

import cv2
import numpy as np
import pytest
from trees import write

from utils.datasets.dataset import open_dataset
from utils.datasets.formats.page_labels import is_page_labels, parse_page_labels
from utils.images.image_files import read_frame
from utils.system.errors import UserError
from utils.system.notices import warnings_given
from utils.video.sources import open_sources
from utils.video.writers import VideoWriter
from utils_coco.import_labels import convert
from utils_coco.label_kinds import guess_kind

SIZE = (48, 64)
STATES = {"accepted": (1, 2, 5, 4), "moved": (10.5, 2, 5, 4), "added": (20, 2, 5, 4)}
OPEN, REJECTED = (30, 2, 5, 4), (40, 2, 5, 4)


def box(state, sides, **more):
    return {"box": list(sides), "class": "target", "state": state, **more}


def labels_of(sequence, frames, complete=False, name=str):
    """Labels of the page; `frames` are lists of boxes by number, `name` makes a frame's name of its number."""
    return {
        "made_by": "python -m utils.view",
        "format": 1,
        "source": "elsewhere",
        "sequence": sequence,
        "size": [SIZE[1], SIZE[0]],
        "classes": ["target"],
        "complete": complete,
        "frames": [{"number": number, "name": name(number), "boxes": own} for number, own in frames.items()],
    }


FRAMES = {
    0: [box(state, sides, track=3) for state, sides in STATES.items()] + [box("unreviewed", OPEN, score=0.4)],
    1: [box("rejected", REJECTED)],
    2: [box("unreviewed", OPEN)],
    3: [],
}


@pytest.fixture
def images(tmp_path):
    for number in range(4):
        write(tmp_path / "seq" / f"{number}.png", np.full(SIZE, 50 * number, np.uint8))
    return tmp_path / "seq"


def save(folder, labels):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "labels.json").write_text(json.dumps(labels))
    return folder / "labels.json"


def frames_of(root):
    return {(frame.sequence, frame.number): frame for frame in open_dataset(root, "all", need="images").frames}


def xyxy(sides):
    x, y, w, h = sides
    return (x, y, x + w, y + h, 0)


def test_each_state_becomes_what_the_page_says(images, tmp_path):
    said = convert(str(images), str(save(tmp_path / "r", labels_of("seq", FRAMES))), str(tmp_path / "out"))
    found = frames_of(tmp_path / "out")
    assert set(found) == {("seq", 0), ("seq", 1)}, "frames in which nothing was decided are no part of it"
    first, second = found["seq", 0], found["seq", 1]
    assert sorted(first.boxes) == [xyxy(sides) for sides in STATES.values()]
    assert first.ignored == (xyxy(OPEN),) and len(set(first.tracks)) == 1
    assert second.boxes == () and second.ignored == ()
    assert any("2 frames that were looked at: 3 boxes accepted, moved or added" in line for line in said)
    assert any("1 rejected, which are none; 1 undecided, which are regions to ignore" in line for line in said)


def test_where_every_frame_was_looked_at_those_without_boxes_hold_no_target(images, tmp_path):
    labels = save(tmp_path / "r", labels_of("seq", FRAMES, complete=True))
    convert(str(images), str(labels), str(tmp_path / "out"), fraction=0)
    found = frames_of(tmp_path / "out")
    assert set(found) == {("seq", number) for number in range(4)}
    assert found["seq", 3].boxes == () == found["seq", 3].ignored
    assert found["seq", 2].boxes == () and found["seq", 2].ignored == (xyxy(OPEN),)


def test_other_footage_than_the_labels_name_is_not_taken_without_a_word(images, tmp_path):
    labels = save(tmp_path / "r", labels_of("other", FRAMES))
    convert(str(images), str(labels), str(tmp_path / "out"), fraction=0)
    assert any("found no sequence of this name" in line for line in warnings_given())
    for path in images.iterdir():
        path.rename(path.with_name(f"film_{path.name}"))
    with pytest.raises(UserError, match="film_0.png: found frame 0, which the labels call 0, expected the footage"):
        convert(str(images), str(save(tmp_path / "s", labels_of("seq", FRAMES))), str(tmp_path / "else"), fraction=0)


def test_frames_of_a_video_are_written_as_they_were_predicted(tmp_path):
    with VideoWriter(tmp_path / "film.mp4", 25) as video:
        for number in range(4):
            video.write(np.full((*SIZE, 3), 40 * number, np.uint8))
    labels = save(tmp_path / "r", labels_of("film", FRAMES, name=lambda number: f"{number:06d}"))
    convert(str(tmp_path / "film.mp4"), str(labels), str(tmp_path / "out"))
    found = frames_of(tmp_path / "out")
    assert set(found) == {("film", 0), ("film", 1)}
    (source,) = open_sources(tmp_path / "film.mp4")
    for frame in list(source)[:2]:
        assert np.array_equal(read_frame(found["film", frame.number].image), frame.image)
    with pytest.raises(UserError, match="--link"):
        convert(str(tmp_path / "film.mp4"), str(labels), str(tmp_path / "linked"), link=True)


def test_raw_frames_stay_raw_and_may_be_linked(tmp_path):
    frame = np.arange(SIZE[0] * SIZE[1], dtype=np.uint16).reshape(SIZE) * 20
    (tmp_path / "seq").mkdir()
    cv2.imwrite(str(tmp_path / "seq/0.png"), frame)
    labels = save(tmp_path / "r", labels_of("seq", {0: FRAMES[0]}))
    convert(str(tmp_path / "seq"), str(labels), str(tmp_path / "out"), link=True, fraction=0)
    (found,) = frames_of(tmp_path / "out").values()
    assert np.array_equal(read_frame(found.image), frame)
    assert (tmp_path / "out/images/train/seq/0.png").resolve() == tmp_path / "seq/0.png"


def test_labels_of_several_sequences_make_one_dataset(tmp_path):
    for name in ("a", "b", "c"):
        for number in range(4):
            write(tmp_path / "frames" / name / f"{number}.png", np.full(SIZE, 9, np.uint8))
    for name in ("a", "b"):
        save(tmp_path / "results" / name, labels_of(name, FRAMES))
    (tmp_path / "results/a/coco.json").write_text('{"images": [], "annotations": [], "categories": []}')
    assert guess_kind(tmp_path / "results") == "view"
    convert(str(tmp_path / "frames"), str(tmp_path / "results"), str(tmp_path / "out"), test=["b"])
    assert set(frames_of(tmp_path / "out")) == {("a", 0), ("a", 1), ("b", 0), ("b", 1)}
    assert {frame.sequence for frame in open_dataset(tmp_path / "out", "test", need="images").frames} == {"b"}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"sequence": "../seq"}, "stays in its folder"),
        ({"sequence": "/seq"}, "stays in its folder"),
        ({"frames": [{"number": 0, "name": "../../x", "boxes": FRAMES[0]}]}, "stays in its folder"),
        ({"frames": [{"number": 9, "name": "9", "boxes": FRAMES[0]}]}, "found no frame 9"),
        ({"size": [10, 10]}, "size"),
        ({"frames": [{"number": 0, "name": "0", "boxes": [box("maybe", OPEN)]}]}, "state 'maybe'"),
        ({"frames": [{"number": 0, "name": "0", "boxes": [box("added", (1, 1, 0, 3))]}]}, "a box of 0x3 pixels"),
        ({"frames": [{"number": 0, "name": "0", "boxes": [box("added", (1, 1, float("nan"), 3))]}]}, "coordinate"),
        ({"frames": [{"number": 0, "name": "0", "boxes": [box("added", (62, 1, 9, 9))]}]}, "border"),
        ({"frames": {}, "complete": True}, "found no decision"),
        ({"frames": [{"number": 0, "name": "0", "boxes": [box("unreviewed", OPEN)]}]}, "found no decision"),
        ({"format": 2}, "another format"),
        ({"frames": 7}, "expected a labels.json"),
    ],
)
def test_what_does_not_fit_is_told_and_nothing_made(images, tmp_path, change, text):
    labels = save(tmp_path / "r", labels_of("seq", FRAMES) | change)
    with pytest.raises(UserError, match=text):
        convert(str(images), str(labels), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_two_files_of_one_sequence_are_refused(images, tmp_path):
    for name in ("r", "s"):
        save(tmp_path / "all" / name, labels_of("seq", FRAMES))
    with pytest.raises(UserError, match="labels of seq, as in"):
        convert(str(images), str(tmp_path / "all"), str(tmp_path / "out"))


def test_footage_of_another_name_is_asked_for(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / "frames" / name / "0.png", np.full(SIZE, 9, np.uint8))
    labels = save(tmp_path / "r", labels_of("seq", {0: FRAMES[0]}))
    with pytest.raises(UserError, match="found 0 sequences called seq"):
        convert(str(tmp_path / "frames"), str(labels), str(tmp_path / "out"))


def test_other_json_is_no_labels_of_the_page(tmp_path):
    (tmp_path / "a.json").write_text('{"images": [], "note": "python -m utils.view"}')
    assert not is_page_labels(tmp_path / "a.json") and not is_page_labels(tmp_path / "none.json")
    with pytest.raises(UserError, match="expected a labels.json"):
        parse_page_labels("[" * 100_000, "deep.json")
