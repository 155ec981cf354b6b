"""Own footage: sources, preparation, tracks, and what vid_predict.py writes."""

import csv
import json
import threading
import time

import cv2
import numpy as np
import pytest
from cameras import served
from PIL import Image
from scripts import run_without_torch, script
from trees import picture, target_mask, write

from utils.clips.settings import ClipSettings
from utils.commands.options import parse_window
from utils.images.grey_levels import Window, noise_of
from utils.predictor.frame_preparation import RAW_WINDOW, Intake
from utils.predictor.prediction import box_component, from_boxes, from_probability
from utils.predictor.tracking.tracker import Tracker
from utils.render.source_truth import open_truth
from utils.system.errors import UserError
from utils.video.growing_folder import GrowingFolder
from utils.video.live import LiveSource, is_live
from utils.video.sources import SourceFrame, open_sources


def frame(number, image):
    return SourceFrame(number, image, str(number), None)


# --- preparation -----------------------------------------------------------------------------------------------------


def test_a_stride_keeps_every_nth_frame_and_the_clips_together():
    taken = list(Intake(stride=3).frames(frame(n, picture()) for n in range(5, 15)))
    assert [number for number, _, _ in taken] == [5, 6, 7, 8] and [f.number for *_, f in taken] == [5, 8, 11, 14]
    gap = [number for number, _, _ in Intake(stride=2).frames(frame(n, picture()) for n in (0, 2, 8, 10))]
    assert gap == [0, 1, 4, 5]  # a gap in the source stays one


def test_windows_and_polarity():
    image = np.linspace(6000, 10000, 64).astype(np.uint16).reshape(8, 8)
    fixed = Intake(window=Window(7000, 9000)).prepare(image)
    assert fixed.dtype == np.uint8 and fixed.min() == 0 and fixed.max() == 255
    assert fixed[image == image[4, 0]][0] == round((float(image[4, 0]) - 7000) * 255 / 2000)
    percent = Intake(window=parse_window("p0,p100"))
    assert percent.prepare(image).reshape(-1)[[0, -1]].tolist() == [0, 255]
    brighter = percent.prepare(image + np.uint16(400))  # the window follows slowly: no flicker
    assert 20 < int(brighter[0, 0]) < 30
    assert np.array_equal(Intake(invert=True).prepare(image), 65535 - image)
    assert Intake(invert=True).prepare(picture())[0, 0] == 255 - picture()[0, 0]
    for text in ("9000,7000", "p1,99", "p1,p101", "7000", "a,b"):
        with pytest.raises(Exception, match="expected levels such as"):
            parse_window(text)


def test_a_region_is_seen_alone_and_results_are_the_whole_frames():
    image, intake = picture(0, (40, 60)), Intake(roi=(20, 10, 32, 24))
    seen = intake.prepare(image)
    assert np.array_equal(seen, image[10:34, 20:52])
    probability = np.zeros((24, 32), np.float32)
    probability[3:5, 6:9] = 0.9
    whole = intake.restore(from_probability(0, probability, 0.5), frame(7, image))
    assert whole.number == 7 and whole.mask.shape == (40, 60) and whole.mask[13:15, 26:29].all()
    assert whole.mask.sum() == 6 and whole.components[0].box == (26, 13, 29, 15)
    assert whole.components[0].centroid == (27, 13.5)
    boxes = from_boxes(0, np.array([[1, 2, 5, 6, 0.8, 0]]), (24, 32), 0.5)
    assert intake.restore(boxes, frame(7, image)).detections[0, :4].tolist() == [21, 12, 25, 16]
    with pytest.raises(UserError, match="found a frame of 60x40"):
        Intake(roi=(40, 0, 32, 24)).prepare(image)


# --- sources ---------------------------------------------------------------------------------------------------------


def test_a_tiff_of_many_pages(tmp_path):
    pages = [picture(n, dtype=np.uint16) for n in range(4)]
    images = [Image.fromarray(page) for page in pages]
    images[0].save(tmp_path / "x.tif", save_all=True, append_images=images[1:])
    (source,) = open_sources(tmp_path / "x.tif")
    assert source.length == 4
    for number, (found, page) in enumerate(zip(source, pages, strict=True)):
        assert found.number == number and found.image.dtype == np.uint16 and np.array_equal(found.image, page)
    data = (tmp_path / "x.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(data[:100])
    with pytest.raises(UserError, match="cut.tif"):
        list(open_sources(tmp_path / "cut.tif")[0])


@pytest.fixture
def camera():
    with served() as (address, handler):
        yield f"http://user:secret@{address}", handler


def test_a_live_source_drops_what_comes_meanwhile_and_says_so(camera):
    url, _ = camera
    source = LiveSource(url, patience=5)
    assert "secret" not in source.name and source.name.startswith("127-0-0-1")
    seen = []
    for found in source:
        seen.append((found.number, int(found.image.mean()) // 10))
        time.sleep(0.1)
    assert [number for number, _ in seen] == list(range(len(seen)))
    levels = [level for _, level in seen]
    assert levels == sorted(levels) and len(seen) < 20
    assert source.dropped == source.came - len(seen) > 0
    assert f"{source.came} frames came, {source.dropped} of them were dropped" in source.report()


def test_a_camera_that_is_not_there():
    assert is_live("0") and is_live("rtsp://x/y") and not is_live("frames/0") and not is_live("x.mp4")
    for path in ("99", "http://127.0.0.1:9/none"):
        with pytest.raises(UserError, match="cannot be opened"):
            LiveSource(path, patience=2)


def test_a_folder_that_grows(tmp_path):
    write(tmp_path / "0.png", picture(0))

    def grow():
        for number in range(1, 5):
            time.sleep(0.1)
            data = cv2.imencode(".png", picture(number))[1].tobytes()
            with open(tmp_path / f"{number}.png", "wb") as file:
                file.write(data[:100])
                file.flush()
                time.sleep(0.1)  # half a file must not be read
                file.write(data[100:])

    thread = threading.Thread(target=grow)
    thread.start()
    found = list(GrowingFolder(tmp_path, patience=1.5, poll=0.02))
    thread.join()
    assert [f.number for f in found] == [0, 1, 2, 3, 4]
    assert all(np.array_equal(f.image, picture(f.number)) for f in found)


def test_truth_of_copies_and_videos_of_frames_with_times(tmp_path):
    names = [f"{40 * number:06d}" for number in range(6)]
    for number, name in enumerate(names):
        write(tmp_path / "set/images/s" / f"{name}.png", picture(number))
        write(tmp_path / "set/masks/s" / f"{name}.png", target_mask(at=(2 * number, 3)))
    truth = open_truth(tmp_path / "set")
    for name in names[2:]:
        write(tmp_path / "copies/s" / f"{name}.png", picture())
    (copies,) = open_sources(tmp_path / "copies/s")
    assert [truth.of(copies, frame)[0].box[1] for frame in copies] == [4, 6, 8, 10]
    known = truth.find("s", 3, "000003", None)  # of a video
    assert known.mask.endswith("000120.png") and truth.find("s", 6, "000006", None) is None


def test_frames_beside_masks_are_no_truth(tmp_path):
    for number in range(3):
        write(tmp_path / "s" / f"{number}.png", picture(number, (48, 64)))
        write(tmp_path / "s" / f"{number}_gt.png", target_mask((48, 64), at=(5, number)))
        write(tmp_path / "alone" / f"{number}.png", picture(number, (48, 64)))
    (source,) = open_sources(tmp_path / "s")
    assert [open_truth(tmp_path / "s").of(source, frame)[0].box[0] for frame in source] == [0, 1, 2]
    (source,) = open_sources(tmp_path / "alone")
    with pytest.raises(UserError, match="holds no truth"):
        open_truth(tmp_path / "alone").require([source])


# --- tracks ----------------------------------------------------------------------------------------------------------


def at(x, y, side=3, score=0.9):
    return box_component((x - side / 2, y - side / 2, x + side / 2, y + side / 2, 0), score)


def test_two_targets_that_cross_keep_their_ids():
    tracker, rng, rows = Tracker(), np.random.default_rng(0), []
    for t in range(30):
        found = [
            at(10 + 2 * t + rng.normal(0, 0.2), 40 + rng.normal(0, 0.2)),
            at(70 - 2 * t + rng.normal(0, 0.2), 30 + 0.7 * t + rng.normal(0, 0.2)),
        ]
        rows += [(t, row) for row in tracker.update(t, found[::-1] if t % 2 else found)]
    assert {row.id for _, row in rows} == {1, 2}
    for t, row in rows:
        going_right = min(({1, 2}), key=lambda i: i) and row.id == next(r.id for u, r in rows if u == 2 and r.x < 20)
        expected = (10 + 2 * t, 40) if going_right else (70 - 2 * t, 30 + 0.7 * t)
        assert np.hypot(row.x + 1.5 - expected[0], row.y + 1.5 - expected[1]) < 1.5
    last = [row.speed for t, row in rows if t == 29]
    assert sorted(last) == pytest.approx([2, np.hypot(2, 0.7)], abs=0.3)


def test_what_lies_far_from_a_track_is_not_its_target():
    tracker = Tracker()
    for t in range(12):
        tracker.update(t, [at(20, 20)])
    assert tracker.update(12, [at(28, 20)]) == []
    assert [row.id for row in tracker.update(13, [at(20, 20)])] == [1]


def test_a_track_survives_a_short_absence_and_single_flashes_make_none():
    tracker, ids = Tracker(patience=4), {}
    for t in range(20):
        found = [] if 8 <= t < 11 else [at(5 + 1.5 * t, 20)]
        if t % 4 == 0:
            found.append(at(60 + 7 * (t % 3), 50 - t))
        ids[t] = [row.id for row in tracker.update(t, found)]
    assert ids[1] == [] and ids[2] == [1] and ids[9] == [] and ids[19] == [1] and tracker.count == 1
    later = [row.id for t in range(30, 34) for row in tracker.update(t, [at(5 + 1.5 * t, 20)])]
    assert later == [2, 2]  # gone for too long: another track


@pytest.mark.parametrize("steps", [[8] * 20, [4, 5, 6, 5] * 5])
def test_tracks_of_every_nth_frame_and_of_a_live_source(steps):
    """Patience counts frames that were looked at: two are missed on the way, and a long gap ends the track."""
    tracker, numbers = Tracker(), np.cumsum([0, *steps]).tolist()
    rows = [tracker.update(t, [] if index in (9, 10) else [at(5 + 0.4 * t, 20)]) for index, t in enumerate(numbers)]
    assert [len(row) for row in rows] == [0, 0, *[1] * 7, 0, 0, *[1] * 10]
    assert {row.id for found in rows for row in found} == {1} and rows[-1][0].speed == pytest.approx(0.4, abs=0.05)
    after = [tracker.update(numbers[-1] + 300 + t, [at(5 + 0.4 * t, 20)]) for t in (0, 5, 10)]
    assert [row.id for found in after for row in found] == [2]


# --- the script ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A stand-in network, whose probability is the key frame's brightness."""
    path = tmp_path_factory.mktemp("run") / "best.pt"
    path.write_bytes(b"stand-in")
    return path


@pytest.fixture
def bright(monkeypatch):
    from utils.predictor.predictor import Predictor

    monkeypatch.setattr(
        Predictor,
        "from_checkpoint",
        classmethod(
            lambda cls, *_, **__: Predictor(
                lambda clips: 1 / (1 + np.exp(-clips[:, -1])), ClipSettings(5, (200.0, 10.0), name="bright")
            )
        ),
    )


def moving(folder, count=8, dtype=np.uint8, hot=True):
    for number in range(count):
        image = np.full((48, 64), 60, np.uint8)
        image[20:23, 5 + 4 * number : 8 + 4 * number] = 250
        image = image if hot else 255 - image
        write(folder / f"{number}.png", image.astype(dtype) * (1 if dtype == np.uint8 else 37))
    return folder


def run(weights, source, out, *arguments):
    script("vid_predict").main(
        ["--weights", str(weights), "--source", str(source), "--out", str(out), "--quiet", *arguments]
    )
    return {
        "tracks": list(csv.DictReader(open(out / "tracks.csv"))) if (out / "tracks.csv").exists() else None,
        "detections": list(csv.DictReader(open(out / "detections.csv"))),
        "coco": json.loads((out / "coco.json").read_text()),
        "json": json.loads((out / "predictions.json").read_text()),
    }


def test_everything_that_is_written(weights, bright, tmp_path, capsys):
    found = run(weights, moving(tmp_path / "frames"), tmp_path / "out", "--preview")
    assert [int(row["frame"]) for row in found["tracks"]] == list(range(2, 8))
    assert {row["id"] for row in found["tracks"]} == {"1"}
    last = found["tracks"][-1]
    assert float(last["x"]) == pytest.approx(33, abs=0.5) and float(last["speed"]) == pytest.approx(4, abs=0.3)
    assert [row["track"] for row in found["detections"]] == ["", "", *"111111"]
    assert [float(found["detections"][3][key]) for key in "xywh"] == [17, 20, 3, 3]
    assert len(found["coco"]["images"]) == 8 and found["coco"]["annotations"][3]["bbox"] == [17, 20, 3, 3]
    assert found["coco"]["annotations"][3]["track_id"] == 1 and found["coco"]["images"][3]["file_name"] == "3.png"
    assert cv2.imread(str(tmp_path / "out/preview.jpg")) is not None
    assert "8 frames, 8 components  1 tracks" in capsys.readouterr().out


def test_black_hot_sixteen_bits_a_region_and_a_stride(weights, bright, tmp_path):
    source = moving(tmp_path / "frames", dtype=np.uint16, hot=False)
    found = run(
        weights,
        source,
        tmp_path / "out",
        "--invert",
        "--window",
        "185,7215",
        "--roi",
        "2,8,60,32",
        "--stride",
        "2",
        "--no-tracks",
        "--motion-compensation",
        "off",
    )
    assert found["tracks"] is None and [record["number"] for record in found["json"]["frames"]] == [0, 2, 4, 6]
    boxes = [[float(row[key]) for key in "xywh"] for row in found["detections"]]
    assert boxes == [[5 + 4 * n, 20, 3, 3] for n in (0, 2, 4, 6)]
    assert found["json"]["fps"] == 12.5 and found["json"]["size"] == [64, 48]


def test_raw_frames_are_shown_by_percentiles_to_a_network_of_eight_bits(weights, bright, tmp_path, capsys):
    source = moving(tmp_path / "raw", dtype=np.uint16)
    run(weights, source, tmp_path / "out")
    assert "raw frames" in capsys.readouterr().err
    shallow = Intake(raw=RAW_WINDOW)
    assert np.array_equal(shallow.prepare(picture().astype(np.uint16)), picture())  # 8 bits in files of 16
    image = np.linspace(6000, 10000, 64).astype(np.uint16).reshape(8, 8)
    deep = Intake(raw=parse_window("p0,p100")).prepare(image)
    assert deep.dtype == np.uint8 and deep.min() == 0 and deep.max() == 255
    noise = np.random.default_rng(0).normal(8000, 20, (64, 80)).round().astype(np.uint16)
    noise[:, 40:] += np.uint16(300)  # an edge is no noise
    assert noise_of(noise) == pytest.approx(20, rel=0.1)
    shown = Intake(window=RAW_WINDOW).prepare(noise)
    assert 1.7 < shown[:, :40].std() < 2.3 and abs(shown.mean() - 128) < 5
    own = Intake(window=Window(6000, 8000), raw=parse_window("p0,p100")).prepare(image)
    assert (own == 255).mean() > 0.4  # what the user asks for comes first


def test_a_camera_end_to_end(weights, bright, camera, tmp_path, capsys):
    found = run(weights, camera[0], tmp_path / "out")
    assert 2 <= len(found["json"]["frames"]) <= 20
    assert "frames came" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, text",
    [
        (["--window", "9,3"], "expected levels such as 7000,9000"),
        (["--roi", "1,2,3"], "expected x,y,w,h in whole pixels"),
        (["--watch", "5"], "no such folder, expected one whose images are to be watched"),
    ],
)
def test_mistakes_need_no_torch(weights, tmp_path, arguments, text):
    done = run_without_torch("vid_predict", "--weights", weights, "--source", tmp_path / "none", *arguments)
    assert done.returncode == 2 and text in done.stderr and done.stderr.count("\n") == 1, done.stderr
