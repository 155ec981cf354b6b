"""Results other than videos, and `vid_predict.py` itself: what is left of them by full disks and Ctrl-C."""

import contextlib
import csv
import json
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
from films import call, film, look, picture, run, telling
from PIL import Image
from scripts import script

from utils.predictor.prediction import from_boxes
from utils.predictor.tracking.tracker import Confirmation, Tracker
from utils.render.result_files import Results, _Table
from utils.system.errors import Interrupted, UserError
from utils.system.files import GrowingFile
from utils.system.outputs import RECORD_FILE, OutputFolder
from utils.video import mp4, writers
from utils.video.sources import SourceFrame
from utils.video.writers import GifWriter, VideoWriter, write_mask

# --- other files -----------------------------------------------------------------------------------------------------


def other_files(folder):
    def until_full(write):
        for number in range(1000):
            write(number)

    folder = Path(folder)
    with contextlib.closing(GifWriter(folder / "a.gif", 10)) as gif:
        telling(until_full, lambda number: gif.write(picture(number)))
    with contextlib.closing(_Table(folder / "a.csv", ("number", "text"))) as table:
        telling(until_full, lambda number: table.write((number, "x" * 30), (number, "ü" * 30)))
    telling(until_full, lambda number: write_mask(folder / "a.png", picture(number, (99, 50 * number + 50))[..., 0]))


def test_other_files_are_whole_on_a_full_disk(tmp_path):
    done = call(other_files, tmp_path, 30_000)
    assert done.stderr == "" and done.stdout.count("cannot be written (File too large); check the space left") == 3
    with Image.open(tmp_path / "a.gif") as gif:
        assert 3 < gif.n_frames < 30
        gif.seek(gif.n_frames - 1)
        gif.load()
    rows = list(csv.reader((tmp_path / "a.csv").read_text(encoding="utf-8").splitlines()))
    assert len(rows) > 100 and {len(row) for row in rows} == {2} and {len(row[1]) for row in rows[1:]} == {30}
    assert cv2.imread(str(tmp_path / "a.png")) is not None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.gif", "a.png"]


def test_a_piece_that_does_not_fit_leaves_no_trace(tmp_path):
    class Disk:
        """Takes four bytes a call, and eleven in all."""

        def __init__(self, file):
            self.file = file

        def write(self, data):
            if self.file.tell() >= 11:
                raise OSError(28, "No space left on device")
            return self.file.write(data[: min(4, 11 - self.file.tell())])

        def __getattr__(self, name):
            return getattr(self.file, name)

    file = GrowingFile(tmp_path / "x")
    file.file = Disk(file.file)
    file.write(b"seven..")
    with pytest.raises(OSError, match="No space"):
        file.write(b"too much")
    file.write(b"fits")
    file.close()
    assert (tmp_path / "x").read_bytes() == b"seven..fits"


def test_the_reserve_is_more_than_what_is_written_at_the_end(tmp_path):
    rng, targets = np.random.default_rng(0), []
    with Results(tmp_path, {"source": "x"}, ["target"], Tracker()) as results:
        for number in range(40):
            corners = rng.uniform(0, 200, (100, 2))
            boxes = np.hstack([corners, corners + 5, rng.uniform(0.4, 1, (100, 1)), np.zeros((100, 1))])
            frame = SourceFrame(number, np.zeros((256, 320), np.uint8), f"第{number}", None)
            results.add(frame, from_boxes(number, boxes.astype(np.float32), (256, 320), 0.5), targets)
        reserved = results.reserve.file.tell()
    written = sum((tmp_path / name).stat().st_size for name in ("predictions.json", "coco.json"))
    assert 500_000 < written < reserved < 2 * written
    content = json.loads((tmp_path / "predictions.json").read_text())
    assert content["size"] == [320, 256] and len(content["frames"]) == 40 and content["frames"][0]["hits"] == 0
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    "name", ["a,b", 'a"b', "a'b;c", "=1+1", "+1", "-1", "@x", "a\nb", "a\r\nb", "a|`*<b>&", " a ", "第é", "a\tb", "\\"]
)
def test_names_come_back_from_every_file_letter_by_letter(tmp_path, name):
    box = np.array([[1, 2, 5, 6, 0.8, 0]], np.float32)
    with Results(tmp_path, {"source": name, "sequence": name}, [name], Tracker(Confirmation(2, 2))) as results:
        for number in range(3):
            frame = SourceFrame(number, np.zeros((24, 32), np.uint8), name, f"folder/{name}.png")
            results.add(frame, from_boxes(number, box, (24, 32), 0.5), None)
    tables = {}
    for file in ("detections.csv", "tracks.csv"):
        with open(tmp_path / file, newline="", encoding="utf-8") as lines:
            tables[file] = list(csv.DictReader(lines, strict=True))
    assert [row["name"] for row in tables["detections.csv"]] == [name] * 3
    assert [row["track"] for row in tables["detections.csv"]] == ["", "1", "1"] and len(tables["tracks.csv"]) == 2
    assert not [row for table in tables.values() for row in table if None in row or None in row.values()]
    predictions, coco = (json.loads((tmp_path / file).read_text()) for file in ("predictions.json", "coco.json"))
    assert predictions["source"] == predictions["sequence"] == predictions["frames"][0]["name"] == name
    assert coco["images"][1]["file_name"] == f"{name}.png" and coco["categories"][0]["name"] == name


# --- vid_predict.py --------------------------------------------------------------------------------------------------


@pytest.fixture
def frames(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(12):
        image = picture(number, (120, 160))[:, :, 0]
        image[50:53, 20 + 4 * number : 23 + 4 * number] = 250
        Image.fromarray(image).save(folder / f"{number}.png")
    return folder


def command(frames, out, *arguments):
    return ["--method", "top-hat", "--source", str(frames), "--out", str(out), "--quiet", *arguments]


def kept(out):
    """Frames in the video, in predictions.json, in coco.json; all of the tables must be whole."""
    for name in ("detections.csv", "tracks.csv"):
        with open(out / name) as file:
            assert len({len(row) for row in csv.reader(file)}) == 1
    return (
        len(look(out / "frames.mp4")[2]),
        len(json.loads((out / "predictions.json").read_text())["frames"]),
        len(json.loads((out / "coco.json").read_text())["images"]),
    )


def test_a_full_disk_ends_with_one_message_and_readable_files(frames, tmp_path):
    out = tmp_path / "out"
    done = run(["vid_predict.py", *command(frames, out)], 250_000)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith(f"error: {out / 'frames.mp4'}: cannot be written to its end (File too large)")
    videos, records, images = kept(out)
    assert 0 < videos < records == images < 12
    assert f"its first {videos} frames are kept" in done.stderr and f"the first {records} frames is in" in done.stderr
    assert {path.name for path in out.iterdir()} == {
        "frames.mp4",
        "masks",
        "predictions.json",
        "coco.json",
        "detections.csv",
        "tracks.csv",
        RECORD_FILE,
    }


def test_several_files_that_fail_are_all_in_the_message(frames, tmp_path, monkeypatch):
    out, write = tmp_path / "out", writers.write_picture

    def full(path, image):
        if path.name == "4.png":
            raise UserError("the mask")
        write(path, image)

    monkeypatch.setattr(writers, "write_picture", full)
    monkeypatch.setattr(mp4, "_is_playable", lambda _: False)
    with pytest.raises(UserError, match="^the mask; .*frames.mp4: cannot be joined.*; what was found in the first 5"):
        script("vid_predict").main(command(frames, out))
    assert kept(out) == (5, 5, 5)


def test_ctrl_c_keeps_what_was_done(frames, tmp_path, monkeypatch):
    out, write = tmp_path / "out", VideoWriter.write

    def interrupted(writer, image):
        if writer.count == 4:
            raise KeyboardInterrupt
        write(writer, image)

    monkeypatch.setattr(VideoWriter, "write", interrupted)
    with pytest.raises(Interrupted, match="the first 5 frames is in") as error:
        script("vid_predict").main(command(frames, out))
    assert error.value.number == signal.SIGINT and kept(out) == (4, 5, 5)
    assert b"moof" not in (out / "frames.mp4").read_bytes()


def test_results_never_take_the_place_of_the_source(frames, tmp_path):
    path = film(tmp_path / "v.mp4", 3)
    before = path.read_bytes()
    for source in (path, frames.rename(tmp_path / "masks")):
        with pytest.raises(UserError, match="which holds what is read .*, as results could take the place of data"):
            script("vid_predict").main(command(source, tmp_path))
    assert path.read_bytes() == before and {one.name for one in tmp_path.iterdir()} == {"v.mp4", "masks"}


def test_a_folder_that_cannot_be_written_is_named(frames, tmp_path):
    said = {
        "tracks.csv": "tracks.csv: cannot be written .Is a directory.",
        "frames.mp4": "frames.part.mp4: cannot be joined .*its first 2 frames are kept",
    }
    for name, reason in said.items():
        OutputFolder(tmp_path / name, "vid_predict.py").path(name).mkdir()
        with pytest.raises(UserError, match=reason):
            script("vid_predict").main(command(frames, tmp_path / name, "--max-frames", "2"))
