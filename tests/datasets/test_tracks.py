"""The ids of tracks stay with the boxes: from lists to the frames of a dataset, and through tables."""

import json
import pickle

import pytest
from trees import coco, touch, write_text

from utils.datasets.coco import coco_of_boxes, read_coco, write_coco
from utils.datasets.compact_lists import Entries, Entry, TrackIds
from utils.datasets.dataset import join_datasets, open_dataset
from utils.datasets.frame_table import Frame, Sequences
from utils.datasets.sequences import BoxTable

A, B, C = (1.0, 2.0, 3.0, 4.0, 0), (5.0, 6.0, 7.0, 8.0, 0), (9.0, 9.0, 12.0, 12.0, 1)
NAMES = [f"images/s/{number}.png" for number in range(3)]


def listed(tmp_path, tracks, name="instances_test"):
    """A dataset of three frames with a box each, whose `track_id` are these, None for no such key."""
    touch(tmp_path, NAMES)
    content = coco(NAMES)
    for entry, track in zip(content["annotations"], tracks, strict=True):
        entry |= {} if track == "none" else {"track_id": track}
    write_text(tmp_path / f"annotations/{name}.json", json.dumps(content))
    return tmp_path


@pytest.mark.parametrize(
    "given, found",
    [
        ((7, 7, 8), [(7,), (7,), (8,)]),
        ((7, None, "none"), [(7,), (), ()]),
        ((-1, 4, -1), [(), (4,), ()]),
        ((2**62, 0, 0), [(2**62,), (0,), (0,)]),
        (("car b", "car a", "car b"), [(0,), (1,), (0,)]),
        (("7", 9, -1), [(0,), (1,), ()]),
        ((-5, 9, 9), [(0,), (1,), (1,)]),
        (("none",) * 3, [(), (), ()]),
    ],
)
def test_tracks_of_a_json_are_those_of_the_frames(tmp_path, given, found):
    frames = open_dataset(listed(tmp_path, given), "test", "boxes").frames
    assert [frame.tracks for frame in frames] == found


def test_a_region_to_ignore_takes_no_track_from_a_box(tmp_path):
    content = coco(NAMES, boxes=((1, 2, 3, 4), (5, 6, 3, 4)), track_id=3)
    content["annotations"][0]["iscrowd"], content["annotations"][1]["track_id"] = 1, 5
    write_coco(tmp_path / "x.json", content)
    first, second, _ = read_coco(str(tmp_path / "x.json"))
    assert first.tracks == (5,) and len(first.boxes) == len(first.ignored) == 1 and second.tracks == (3, 3)


def test_tracks_stay_with_the_boxes_of_joined_lists():
    table = BoxTable()
    table.add("a", Entry("a", (A, B), tracks=(4, -1)))
    table.add("b", Entry("b", (A,)))
    table.add("a", Entry("a", (C, B, A), tracks=(6, 5, 9)))  # what was known first stays
    table.add("b", Entry("b", (A,), tracks=(2,)))
    table.add("c", Entry("c", ()))
    assert table.boxes_of("a") == (A, B, C) and table.tracks_of("a") == (4, 5, 6)
    assert table.boxes_of("b") == (A,) and table.tracks_of("b") == (2,)
    assert table.boxes_of("c") == () and table.tracks_of("c") == () and table.tracks_of("d") == ()


def test_tracks_come_back_from_tables_as_they_went_in():
    frames = [
        Frame("s", 0, "0.png", None, (A, B)),
        Frame("s", 1, "1.png", None, (A, B), tracks=(8, -1)),
        Frame("s", 2, "2.png", None, ()),
        Frame("s", 3, "3.png", None, None),
        Frame("s", 4, "4.png", None, (C,)),
        Frame("s", 5, "5.png", None, (C,), tracks=(2**60,)),
    ]
    table = Sequences.of({"s": frames})
    assert table["s"] == frames and pickle.loads(pickle.dumps(table))["s"][1:].name == "s"
    assert [frame.tracks for frame in Sequences.of(table.cut(1, 6))["s"]] == [(8, -1), (), (), (), (2**60,)]
    entries = Entries.of([Entry("a", (A,)), Entry("b", (A, B), tracks=(1, 2)), Entry("c", ())])
    assert [entry.tracks for entry in entries] == [(), (1, 2), ()] and entries[-2].tracks == (1, 2)


def test_tracks_take_no_room_where_there_are_none():
    tracks = TrackIds()
    for row in range(1000):
        tracks.add((), 2 * row, 2)
    assert len(tracks.values) == 0 and tracks.at(4, 6) == ()
    tracks.add((5, -1), 2000, 2)
    tracks.add((), 2002, 1)
    assert len(tracks.values) == 2003 and tracks.at(2000, 2002) == (5, -1) and tracks.at(1999, 2000) == ()


def test_datasets_that_are_joined_keep_their_tracks(tmp_path):
    first, second = (
        open_dataset(listed(tmp_path / name, (n, n, n)), "test", "boxes") for n, name in enumerate(("a", "b"))
    )
    both = join_datasets(first, [second]).sequences
    assert [both[name][2].tracks for name in ("s", "b/s")] == [(0,), (1,)]


def test_tracks_are_written_with_boxes():
    boxes = [(*A, False, 3), (*B, True, None), (*C,), (*A, False, "x")]
    entries = coco_of_boxes([("0.png", (24, 32), boxes)], ["one", "two"])["annotations"]
    assert [entry.get("track_id") for entry in entries] == [3, None, None, "x"]
    assert [entry["iscrowd"] for entry in entries] == [0, 1, 0, 0] and "track_id" not in entries[1]


@pytest.mark.parametrize(
    "extra, of_videos, tracks",
    [
        ({"attributes": {"track_id": 7, "occluded": False}}, False, (7,)),  # as CVAT exports COCO
        ({"attributes": {"track_id": True}}, False, ()),
        ({"attributes": ["track_id"]}, False, ()),
        ({"instance_id": 4}, True, (4,)),  # as MMTracking has it
        ({"instance_id": 4}, False, ()),
        ({"instance_id": 4, "attributes": {"track_id": 7}, "track_id": 2}, True, (2,)),
    ],
)
def test_ids_of_tracks_are_found_where_other_programs_write_them(tmp_path, extra, of_videos, tracks):
    content = coco(NAMES, **extra)
    for image in content["images"] if of_videos else ():
        image["video_id"] = 1
    path = write_text(tmp_path / "x.json", json.dumps(content))
    assert [entry.tracks for entry in read_coco(str(path))] == [tracks] * len(NAMES)
