"""CVAT's xml as labels: key frames and what lies between them, tracks, images, and what is not read."""

import numpy as np
import pytest
from trees import picture, write, write_text

from utils.datasets.dataset import open_dataset
from utils.system.errors import UserError
from utils.system.notices import warnings_given
from utils_coco import cvat_labels
from utils_coco.import_labels import convert
from utils_coco.label_kinds import guess_kind


def box(frame, x, y=4, w=4, h=3, outside=0, key=1, inner="", **more):
    """A box element of a track at x, y of w x h pixels."""
    extra = "".join(f' {name}="{value}"' for name, value in more.items())
    return (
        f'<box frame="{frame}" outside="{outside}" occluded="0" keyframe="{key}" xtl="{x}" ytl="{y}" xbr="{x + w}" '
        f'ybr="{y + h}" z_order="0"{extra}>{inner}</box>'
    )


def track(*shapes, number=0, label="drone", **more):
    extra = "".join(f' {name}="{value}"' for name, value in more.items())
    return f'<track id="{number}" label="{label}" source="manual"{extra}>{"".join(shapes)}</track>'


def task(*parts, size=None, source="", name="", sides=None, first=None, step=None):
    inner = f"<name>{name}</name>" + (f"<size>{size}</size>" if size is not None else "")
    inner += f"<start_frame>{first}</start_frame>" if first is not None else ""
    inner += f"<frame_filter>{step}</frame_filter>" if step is not None else ""
    inner += f"<original_size><width>{sides[1]}</width><height>{sides[0]}</height></original_size>" if sides else ""
    head = f"<version>1.1</version><meta><task>{inner}</task><source>{source}</source></meta>"
    return f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>{head}{"".join(parts)}</annotations>'


def frames(tmp_path, numbers=range(6), video="a", size=(24, 32)):
    for number in numbers:
        write(tmp_path / f"img/{video}/{number:04d}.png", picture(number, size))


def take(tmp_path, text=None, place="lab/a.xml", **options):
    """Import, and give the said lines and the frames by sequence."""
    if text is not None:
        write_text(tmp_path / place, text)
    said = convert(str(tmp_path / "img"), str(tmp_path / "lab"), str(tmp_path / "out"), fraction=0, **options)
    return said, open_dataset(tmp_path / "out", "all", "boxes").sequences


def lefts(own):
    """The left sides of the boxes of each frame."""
    return [[box[0] for box in frame.boxes] for frame in own]


# --- tracks ----------------------------------------------------------------------------------------------------------


def test_boxes_between_key_frames_lie_on_the_straight_line(tmp_path):
    """A case worked out by hand: four pixels in four frames, twice as wide at the end."""
    frames(tmp_path)
    said, found = take(tmp_path, task(track(box(1, 4, w=2), box(5, 8, w=4)), size=6))
    assert "kind 'cvat'" in said[0] and guess_kind(tmp_path / "lab") == "cvat"
    assert [frame.boxes for frame in found["a"]] == [
        (),
        ((4, 4, 6, 7, 0),),
        ((5, 4, 7.5, 7, 0),),
        ((6, 4, 9, 7, 0),),
        ((7, 4, 10.5, 7, 0),),
        ((8, 4, 12, 7, 0),),
    ]
    assert [frame.tracks for frame in found["a"]] == [(), (0,), (0,), (0,), (0,), (0,)]
    assert any("3 of 5 boxes are between key frames" in line for line in said)


def test_what_is_outside_is_not_there_up_to_the_next_key_frame(tmp_path):
    frames(tmp_path)
    moving = track(box(0, 4), box(2, 8, outside=1), box(4, 10), box(5, 12, outside=1))
    assert lefts(take(tmp_path, task(moving))[1]["a"]) == [[4], [6], [], [], [10], []]


def test_a_track_that_does_not_end_goes_on_to_the_last_frame(tmp_path):
    frames(tmp_path)
    said, found = take(tmp_path, task(track(box(0, 4), box(2, 8))))
    assert lefts(found["a"]) == [[4], [6], [8], [8], [8], [8]]
    assert any("4 of 6 boxes" in line and "does not end with one that is outside" in line for line in said)


def test_what_cvat_writes_between_key_frames_follows_from_these(tmp_path):
    """Rounded to two decimals, as CVAT writes them: nothing is said, and the line counts."""
    frames(tmp_path)
    own = track(box(0, 4), box(1, 4.33, key=0), box(2, 4.67, key=0), box(3, 5), box(4, 5, outside=1))
    said, found = take(tmp_path, task(own))
    assert np.allclose([x for (x,) in lefts(found["a"])[:4]], [4, 13 / 3, 14 / 3, 5], atol=1e-4)
    assert not warnings_given() and not any("between key frames" in line for line in said)


def test_other_places_between_key_frames_are_told(tmp_path):
    frames(tmp_path)
    _, found = take(tmp_path, task(track(box(0, 4), box(1, 20, key=0), box(2, 6), box(3, 6, outside=1))))
    assert lefts(found["a"])[1] == [5] and "1 boxes that are no key frames lie more than 0.5 px" in warnings_given()[0]


def test_a_track_without_a_key_frame_is_taken_as_it_is(tmp_path):
    frames(tmp_path)
    own = track(box(0, 4, key=0), box(1, 20, key=0), box(2, 6, key=0), box(3, 6, outside=1, key=0))
    assert lefts(take(tmp_path, task(own))[1]["a"]) == [[4], [20], [6], [], [], []]


def test_turned_boxes_become_the_boxes_around_them_and_turn_the_shorter_way(tmp_path):
    """A box of 4 x 2 pixels about (10, 9): on end at 90 degrees, upright after a third of the way from 330 to 60."""
    frames(tmp_path)
    own = track(box(0, 8, 8, 4, 2, rotation=90), box(2, 8, 8, 4, 2, rotation=270), box(3, 8, outside=1))
    _, found = take(tmp_path, task(own))
    assert np.allclose(found["a"][0].boxes[0][:4], (9, 7, 11, 11))
    slow = track(box(1, 8, 8, 4, 2, rotation=330), box(4, 8, 8, 4, 2, rotation=60))
    (tmp_path / "out").rename(tmp_path / "first")
    _, found = take(tmp_path, task(slow))
    assert np.allclose(found["a"][2].boxes[0][:4], (8, 8, 12, 10)), "360 degrees, not 240"


def test_polygons_ellipses_and_points_are_taken_as_the_boxes_around_them(tmp_path):
    frames(tmp_path)
    shapes = (
        '<polygon frame="0" keyframe="1" outside="0" points="2.0,3.0;8.5,3.5;5,9"/>',
        '<ellipse frame="1" keyframe="1" outside="0" cx="10" cy="9" rx="3" ry="2"/>',
        '<points frame="2" keyframe="1" outside="0" points="12,11"/>',
        '<mask frame="3" keyframe="1" outside="0" left="3" top="4" width="5" height="6" rle="1"/>',
        '<polyline frame="4" keyframe="1" outside="0" points="1,1;2,2"/>',
        '<box frame="4" keyframe="1" outside="1" xtl="1" ytl="1" xbr="2" ybr="2"/>',
    )
    _, found = take(tmp_path, task(track(*shapes)), side=4)
    assert [frame.boxes[0][:4] for frame in found["a"][:4]] == [
        (2, 3, 8.5, 9),
        (7, 7, 13, 11),
        (10, 9, 14, 13),
        (3, 4, 8, 10),
    ]
    assert "passed over: 1 of the shape polyline" in warnings_given()[0]


def test_ids_and_classes_stay_and_ignored_shapes_are_regions(tmp_path):
    frames(tmp_path)
    flag, speed = '<attribute name="Ignore">true</attribute>', '<attribute name="speed">fast</attribute>'
    first = track(box(0, 4, inner=speed), box(1, 4), box(2, 4, outside=1), number=7)
    second = track(box(0, 9, inner=flag), box(1, 9, inner=flag), box(2, 9, outside=1), number=9)
    third = track(box(0, 15), box(1, 16, outside=1), number=2, label="鳥 é")
    said, found = take(tmp_path, task(first, second, third))
    assert "classes: 0 drone, 1 鳥 é" in said
    assert found["a"][0].tracks == (7, 2) and found["a"][0].ignored == ((9, 4, 13, 7, 0),)
    assert "attributes (speed 1)" in warnings_given()[0]


def test_tracks_of_one_frame_each_are_boxes_without_ids(tmp_path):
    """As CVAT writes shapes that are in no track."""
    frames(tmp_path)
    said, found = take(
        tmp_path, task(*(track(box(n, 4 + n), box(n + 1, 4 + n, outside=1), number=n) for n in range(3)))
    )
    assert [frame.tracks for frame in found["a"]] == [()] * 6 and lefts(found["a"])[:3] == [[4], [5], [6]]
    assert any("no track is there in two frames" in line for line in said)


# --- which image a frame is ------------------------------------------------------------------------------------------

MOVING = track(box(0, 4), box(2, 8), box(3, 8, outside=1))


def test_frames_of_images_count_in_their_order_and_of_a_video_by_its_numbers(tmp_path):
    frames(tmp_path, (7, 9, 30))
    said, found = take(tmp_path, task(MOVING, size=3))
    assert lefts(found["a"]) == [[4], [6], [8]]
    assert any("numbered by the images' order (frame 0 is 0007.png)" in line for line in said)
    late = track(box(7, 4), box(9, 8), box(10, 8, outside=1), box(30, 1))
    for options in ({"text": task(late, source="a.mp4", size=31)}, {"text": task(late), "frame_numbers": "names"}):
        (tmp_path / "out").rename(tmp_path / f"out{len(options)}{len(options['text'])}")
        said, found = take(tmp_path, **options)
        assert lefts(found["a"]) == [[4], [8], [1]]


def test_a_task_of_another_length_stops_unless_it_is_said_what_frames_are(tmp_path):
    frames(tmp_path, (7, 9, 30))
    with pytest.raises(UserError, match="task of 31 frames, and 3 images, the first .*0007.png.*--frame-numbers"):
        take(tmp_path, task(MOVING, size=31))
    assert lefts(take(tmp_path, frame_numbers="order")[1]["a"]) == [[4], [6], [8]]


def test_frames_of_a_task_that_leaves_some_out_have_the_numbers_of_all(tmp_path):
    frames(tmp_path, range(3))
    thinned = track(box(10, 4), box(18, 8), box(22, 8, outside=1))
    said, found = take(tmp_path, task(thinned, size=3, first=10, step="step=4"))
    assert lefts(found["a"]) == [[4], [6], [8]]
    assert any("numbered by the images' order (frame 10 is 0000.png)" in line for line in said)
    for folder in ("out", "img"):
        (tmp_path / folder).rename(tmp_path / f"first {folder}")
    frames(tmp_path, (7, 9, 30))
    for more in ({}, {"size": 7}):
        with pytest.raises(UserError, match="and 3 images, the first .*0007.png.*--frame-numbers"):
            take(tmp_path, task(thinned, first=10, step="step=4", **more))
    with pytest.raises(UserError, match="found the frame_filter 'every 4th', expected step=N"):
        take(tmp_path, task(thinned, size=3, step="every 4th"))


def test_frames_without_an_image_are_counted(tmp_path):
    frames(tmp_path, range(2))
    said, found = take(tmp_path, task(track(box(0, 4), box(1, 5), box(5, 9), box(6, 9, outside=1))))
    assert lefts(found["a"]) == [[4], [5]]
    assert "left out: labels of 1 images that are not there, the first a/frame 5" in said


@pytest.mark.parametrize("place", ["lab/a.xml", "lab/a/annotations.xml", "lab/x/a.xml"])
def test_several_videos_are_told_by_their_files(tmp_path, place):
    frames(tmp_path)
    frames(tmp_path, range(2), "b")
    write_text(tmp_path / "lab/b.xml", task(track(box(0, 11), box(1, 12)), track(number=4)))
    _, found = take(tmp_path, task(MOVING), place)
    assert lefts(found["a"]) == [[4], [6], [8], [], [], []] and lefts(found["b"]) == [[11], [12]]


@pytest.mark.parametrize("about", [{"source": "a.mp4"}, {"name": "a"}])
def test_a_video_is_told_by_the_task_where_the_file_does_not_tell(tmp_path, about):
    frames(tmp_path)
    frames(tmp_path, range(2), "b")
    _, found = take(tmp_path, task(MOVING, **about), "lab/job_1.xml")
    assert lefts(found["a"])[:3] == [[4], [6], [8]] and lefts(found["b"]) == [[], []]


def test_images_of_cvat_are_found_by_their_names(tmp_path):
    frames(tmp_path)
    text = (
        '<annotations><image id="0" name="a/0001.png" width="32" height="24">'
        '<box label="drone" xtl="1" ytl="2" xbr="3" ybr="5"/><points label="bird" points="9,9;12,11"/></image>'
        '<image id="1" name="a/0002.png"/></annotations>'
    )
    said, found = take(tmp_path, text)
    assert found["a"][1].boxes == ((1, 2, 3, 5, 1), (9, 9, 12, 11, 0)) and found["a"][1].tracks == ()
    (tmp_path / "out").rename(tmp_path / "first")
    with pytest.raises(UserError, match="its labels declare 33x24"):
        take(tmp_path, text.replace('"32"', '"33"'))


def test_a_task_without_labels_is_a_video_without_targets(tmp_path):
    frames(tmp_path)
    assert lefts(take(tmp_path, task(size=6))[1]["a"]) == [[]] * 6


def test_frames_of_another_size_than_the_video_stop(tmp_path):
    frames(tmp_path)
    with pytest.raises(UserError, match="its labels declare 640x512"):
        take(tmp_path, task(MOVING, source="a.mp4", sides=(512, 640)))


def test_boxes_over_the_border_stop_or_are_cut(tmp_path):
    frames(tmp_path)
    text = task(track(box(0, -3), box(1, -3), box(2, 40, outside=1)))
    with pytest.raises(UserError, match="found 2 places with boxes that do not fit"):
        take(tmp_path, text)
    said, found = take(tmp_path, cut=True)
    assert found["a"][0].boxes == ((0, 4, 1, 7, 0),) and "cut at their image's border: 2 boxes" in said


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, message",
    [
        (task(track(box(0, 4).replace('xtl="4"', 'xtl="four"'))), "track 0, frame 0: found a box that cannot be read"),
        (task(track(box(0, 4).replace('xtl="4"', 'xtl="nan"'))), "track 0, frame 0: found a box"),
        (task(track(box(0, 4).replace('xtl="4"', 'xtl="1e99"'))), "track 0, frame 0: found a box"),
        (task(track(box(0, 4).replace('xtl="4"', ""))), "track 0, frame 0: found a box that cannot be read"),
        (task(track(box(0, 4).replace('frame="0"', ""))), "track 0: found a box that cannot be read"),
        (task(track(box(-1, 4))), "track 0, frame -1: found a box"),
        (task(track(box(10**10, 4))), "found a box that cannot be read .no frame number"),
        (task(track(box("9" * 5000, 4))), "found a box that cannot be read .no frame number"),
        (task(track(box(0, 4, outside=2))), "track 0, frame 0: found a box"),
        (task(track(box(0, 4), box(0, 5))), "track 0: found frame 0 twice"),
        (task(track(box(0, 4)), track(box(1, 4))), "found track 0 twice"),
        (task(track(box(0, 4), number="x")), "found track 'x'"),
        (task(track(box(0, 4), label="")), "with label ''"),
        (task(track(box(0, 4), task_id=1), track(box(0, 4), number=1, task_id=2)), "found tracks of several tasks"),
        (task('<image id="0" name="../a/0.png"/>'), "found name '../a/0.png'"),
        (task('<image id="0" name="a/0000.png"><box xtl="1" ytl="1" xbr="2" ybr="2"/></image>'), "without a label"),
        (task(track('<polygon frame="0" points="1,2;3"/>')), "found a polygon that cannot be read"),
        (task(track(box(0, 4))).replace("</track>", ""), "not xml"),
        ("<annotations>" + "<track>" * 5000, "more than 32 elements in one another"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotations/>', "a document type or entities"),
    ],
)
def test_broken_files_are_refused_in_one_line(tmp_path, text, message):
    frames(tmp_path)
    with pytest.raises(UserError, match=f"a.xml: .*{message}") as raised:
        take(tmp_path, text, kind="cvat")
    assert len(str(raised.value)) < 700 and not (tmp_path / "out").exists()


def test_a_few_lines_cannot_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(cvat_labels, "MAX_BOXES", 20)
    frames(tmp_path)
    with pytest.raises(UserError, match="track 3: found more than 20 boxes up to there"):
        take(tmp_path, task(*(track(box(0, 4), number=number) for number in range(9))))
    far = task(track(box(0, 4), box(999_999_999, 4, outside=1)))
    assert lefts(take(tmp_path, far)[1]["a"]) == [[4]] * 6
