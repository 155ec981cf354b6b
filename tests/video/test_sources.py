"""Sources as people have them: odd numbers, broken files, and cameras that go away."""

import re
import threading
import time

import cv2
import numpy as np
import pytest
from cameras import served
from scripts import script
from trees import picture, target_mask, write

from utils.clips.settings import ClipSettings
from utils.images.frame_names import count_steps, usual_step
from utils.predictor.frame_preparation import Intake
from utils.predictor.predictor import Predictor
from utils.system.errors import UserError
from utils.video.growing_folder import GrowingFolder
from utils.video.live import LiveSource
from utils.video.sources import open_sources
from utils.video.writers import VideoWriter


def numbers_of(folder, names):
    """Numbers and names of the frames of a folder with these images, read at once and while it is watched."""
    for index, name in enumerate(names):
        write(folder / name, picture(index))
    (source,) = open_sources(folder)
    assert source.report() == ""  # it waits, and loses no frame
    whole = [(frame.number, frame.name) for frame in source]
    time.sleep(0.06)
    growing = GrowingFolder(folder, patience=0.05, poll=0.01)
    assert [(frame.number, frame.name) for frame in growing] == whole and growing.late == 0
    assert sorted(name for _, name in whole) == sorted(name.rpartition(".")[0] for name in names)
    said = [note.partition(": ")[2] for note in source.notes]
    assert [note.rpartition("tell, ")[2] for note in growing.notes] == said
    return [number for number, _ in whole], said


# --- numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [2, 40])
def test_thinned_frames_make_clips(tmp_path, step):
    for number in range(12):
        image = np.full((32, 64), 50, np.uint8)
        image[10:12, 4 * number : 4 * number + 3] = 200
        write(tmp_path / f"frame_{step * number:06d}.png", image)
    (source,) = open_sources(tmp_path)
    moved = Predictor(lambda clips: (clips[:, -1] - clips[:, 0] > 100).astype(np.float32), ClipSettings(3, (0.0, 1.0)))
    found = [len(prediction.components) for _, prediction in moved.stream_with(Intake().frames(source))]
    assert found == [0] + [1] * 11
    frames = list(source)
    assert [frame.number for frame in frames] == list(range(12)) and frames[3].name == f"frame_{3 * step:06d}"
    assert source.notes == [
        f"{tmp_path}: the numbers of the frames are {step} apart, which counts as from one frame to the next"
    ]


def test_steps_of_numbers(tmp_path):
    assert count_steps([5, 6, 7, 12, 13]) == [5, 6, 7, 12, 13]  # as they are
    assert count_steps([10, 12, 14, 20, 22, 24]) == [0, 1, 2, 5, 6, 7]
    stamps = [1000, 1041, 1079, 1122, 1160, 1320, 1358, 1401]  # of 25 frames a second, three of them lost
    assert count_steps(stamps) == [0, 1, 2, 3, 4, 8, 9, 10]
    assert usual_step([1, 2, 10, 12]) is None and count_steps([1, 2, 10, 12]) == [1, 2, 10, 12]
    assert count_steps([3, 9]) == [3, 9]  # too few to tell
    numbers, (said,) = numbers_of(tmp_path / "a", [f"{stamp}.png" for stamp in stamps])
    assert numbers == [0, 1, 2, 3, 4, 8, 9, 10] and said.endswith("to the next; gaps that are left: 1")
    numbers, (said,) = numbers_of(tmp_path / "b", [f"{number}.png" for number in (1, 5, 30, 100)])
    assert numbers == [1, 5, 30, 100] and "irregular and never consecutive" in said
    assert numbers_of(tmp_path / "c", [f"{number}.png" for number in (1, 2, 5, 6)]) == ([1, 2, 5, 6], [])


@pytest.mark.parametrize(
    "names",
    [
        [f"img{number:04d}_320x256.png" for number in range(25)],
        [f"IMG_20231114_2213{stamp // 1000:02d}_{stamp % 1000:03d}.png" for stamp in range(19_840, 20_840, 40)],
        [f"IMG_20231114_2213{stamp // 1000:02d}_{stamp % 1000:03d}.png" for stamp in range(19_841, 23_000, 97)],
        [f"frame{number:04d}_T{21 + number % 3}.png" for number in range(12)],
        ["first.png", "other.png"],
        ["first.png", "second.png", "third_1.png"],
    ],
)
def test_numbers_that_do_not_ascend_are_no_numbers(tmp_path, names):
    assert numbers_of(tmp_path, names)[0] == list(range(len(names)))


def test_videos_in_one_folder_are_sequences_of_their_own(tmp_path, capsys):
    for part in "ab":
        for number in range(6):
            write(tmp_path / "in" / f"{part}_{number}.png", picture(number))
    sources = open_sources(tmp_path / "in")
    assert [(source.name, source.length) for source in sources] == [("in/a", 6), ("in/b", 6)]
    assert [frame.name for frame in sources[1]] == [f"b_{number}" for number in range(6)]
    assert "2 sequences, told apart by a, b" in capsys.readouterr().err


@pytest.mark.parametrize("other", ["{}.jpg", "{}-mask.png", "gt_{}.png", "{}_preview.png"])
def test_masks_and_previews_are_no_frames(tmp_path, capsys, other):
    for number in range(4):
        write(tmp_path / f"{number}.png", picture(number, dtype=np.uint16))
        write(tmp_path / other.format(number), target_mask())
    (source,) = open_sources(tmp_path)
    assert [frame.name for frame in source] == ["0", "1", "2", "3"]
    assert "4 pictures are " in capsys.readouterr().err
    time.sleep(0.06)
    growing = GrowingFolder(tmp_path, patience=0.05, poll=0.01)
    assert [frame.number for frame in growing] == [0, 1, 2, 3] and len(growing.notes) == 4


def test_folders_of_masks_are_no_sequences_unless_they_are_what_was_given(tmp_path, capsys):
    for number in range(3):
        write(tmp_path / "ir" / f"{number}.png", picture(number))
        write(tmp_path / "gt" / f"{number}.png", target_mask())
        write(tmp_path / "target" / f"{number}.png", picture(number))
    assert [source.name for source in open_sources(tmp_path)] == ["ir", "target"]
    assert "gt: 3 pictures in a folder called after masks" in capsys.readouterr().err
    assert [source.name for source in open_sources(tmp_path / "gt")] == ["gt"]


def test_a_folder_of_pictures_that_may_be_anything_is_refused(tmp_path):
    for number in range(4):
        write(tmp_path / "a" / f"{number}.png", picture(number))
        write(tmp_path / "a" / f"{number}.bmp", picture(number + 9))
    with pytest.raises(UserError, match=r"0.png: found beside 0.bmp, two images of one name"):
        open_sources(tmp_path)


def test_files_that_arrive_one_by_one_after_all(tmp_path):
    """The step is learnt from the first files, whatever the order in which these come, and late ones are left out."""

    def grow():
        for number in (80, 40, 120, 160, 280, 240, 320):
            write(tmp_path / f"{number:06d}.png", picture(number))
            time.sleep(0.2)

    thread = threading.Thread(target=grow)
    thread.start()
    growing = GrowingFolder(tmp_path, patience=1, poll=0.02)
    found = list(growing)
    thread.join()
    assert [(frame.number, int(frame.name)) for frame in found] == [
        (0, 40),
        (1, 80),
        (2, 120),
        (3, 160),
        (6, 280),
        (7, 320),
    ]
    assert growing.late == 1 and "7 images came, 1 of them after their successors" in growing.report()
    assert growing.notes == [
        f"{tmp_path}: as far as the first 4 files tell, the numbers of the frames are 40 apart, "
        "which counts as from one frame to the next"
    ]


def test_numbers_order_names_that_differ_in_words(tmp_path):
    growing = iter(GrowingFolder(tmp_path, patience=5, poll=0.01))
    for names, numbers in ((("b_1", "a_2"), [1, 2]), (("a_4", "b_3"), [3, 4])):
        for name in names:
            write(tmp_path / f"{name}.png", picture())
        time.sleep(0.06)
        assert [next(growing).number for _ in names] == numbers
    assert [frame.number for frame in open_sources(tmp_path)[0]] == [1, 2, 3, 4]


def test_consecutive_files_are_not_waited_for(tmp_path):
    for number in (7, 8):
        write(tmp_path / f"{number}.png", picture(number))
    time.sleep(0.06)
    assert next(iter(GrowingFolder(tmp_path, patience=600))).number == 7


# --- videos ----------------------------------------------------------------------------------------------------------


def film(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, 25) as writer:
        for number in range(6):
            writer.write(np.repeat(picture(number)[:, :, None], 3, 2))
    return path


def test_a_broken_video_leaves_the_others(tmp_path):
    film(tmp_path / "a.mp4")
    film(tmp_path / "c.mp4")
    (tmp_path / "b.mp4").write_bytes(b"garbage" * 100)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "0.png").write_text("no image")
    sources = open_sources(tmp_path)
    assert [(source.name, bool(source.problem)) for source in sources] == [
        ("a", False),
        ("b", True),
        ("c", False),
        ("d", True),
    ]
    assert [len(list(source)) for source in sources if not source.problem] == [6, 6]
    for source, text in ((sources[1], "b.mp4: not a readable video"), (sources[3], "0.png: not a readable image")):
        with pytest.raises(UserError, match=text):
            next(iter(source))
    (tmp_path / "a.mp4").unlink()
    (tmp_path / "c.mp4").unlink()
    with pytest.raises(UserError, match="b.mp4"):
        open_sources(tmp_path)


def test_the_script_does_the_others_and_says_what_is_broken(tmp_path, monkeypatch, capsys):
    for name in "ac":
        film(tmp_path / "in" / f"{name}.mp4")
    (tmp_path / "in" / "b.mp4").write_bytes(b"no video")
    (tmp_path / "best.pt").write_bytes(b"stand-in")
    monkeypatch.setattr(
        Predictor,
        "from_checkpoint",
        classmethod(
            lambda cls, *_, **__: Predictor(
                lambda clips: np.zeros((len(clips), *clips.shape[-2:]), np.float32), ClipSettings(1, (128.0, 20.0))
            )
        ),
    )
    with pytest.raises(UserError, match="1 of 3 sequences .*: b; "):
        script("vid_predict").main(
            [
                "--weights",
                str(tmp_path / "best.pt"),
                "--source",
                str(tmp_path / "in"),
                "--out",
                str(tmp_path / "out"),
                "--quiet",
            ]
        )
    said = capsys.readouterr()
    assert said.out.count(": 6 frames") == 2 and "b.mp4" in said.err
    assert [(tmp_path / "out" / name / f"{name}.mp4").exists() for name in "abc"] == [True, False, True]


def test_sources_of_one_stem_have_names_of_their_own(tmp_path):
    film(tmp_path / "a.mp4").with_suffix(".avi").write_bytes((tmp_path / "a.mp4").read_bytes())
    write(tmp_path / "a" / "0.png", picture())
    assert sorted(source.name for source in open_sources(tmp_path)) == ["a", "a.avi", "a.mp4"]


def test_what_is_said_of_videos_that_cannot_be_opened(tmp_path):
    data = film(tmp_path / "v.mp4").read_bytes()
    index = data.index(b"moov") - 4
    size = int.from_bytes(data[index : index + 4], "big")
    for name, content, text in (
        ("late.mp4", data[:index] + data[index + size :], "seems to be cut off, or was never finished"),
        ("early.mp4", data[: index + size // 2], "seems to be cut off"),
        ("head.mp4", data[: index + size + 8], "seems to be cut off"),
        ("odd.mp4", b"no video at all", "seems to be damaged, or to be no video"),
        ("odd.xyz", b"no video at all", "expected an image, a folder of images or a video"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=text) as error:
            open_sources(tmp_path / name)
        assert ("expected" in str(error.value)) == (name == "odd.xyz")


# --- cameras ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def camera():
    with served() as found:
        yield found


def balance(source):
    """What the report says, whose figures must add up."""
    came, dropped, used, late = (
        int(number or 0)
        for number in re.search(
            r": (\d+) frames came, (\d+) of them .*, (\d+) used(?:, (\d+) came too late)?; the", source.report()
        ).groups()
    )
    assert came == dropped + used + late == source.came and (dropped, used) == (source.dropped, source.used)
    return source.report().partition("; the end: ")[2]


def test_a_camera_says_how_it_ended(camera, capfd):
    address, handler = camera
    source = LiveSource(f"http://{address}", patience=5)
    seen = [time.sleep(0.05) for _ in source]
    assert source.used == len(seen) < source.came
    assert balance(source) == "the stream was over, or the connection was lost"
    handler.silent = 4
    source = LiveSource(f"http://{address}", patience=1)
    for _ in source:
        time.sleep(0.05)
    assert balance(source).startswith("no frame came for 1") and balance(source).endswith(" s")
    source = LiveSource(f"http://{address}", patience=1)
    frames = iter(source)
    next(frames)
    time.sleep(0.2)
    balance(source)
    frames.close()
    assert source.came > 2 and "1 came too late" in source.report()
    assert balance(source) == "no more frames were asked for"
    assert capfd.readouterr().err == ""


def test_passwords_are_not_shown(camera):
    address, _ = camera
    for access in ("user:secret@", "user:s@secret@", ""):
        source = LiveSource(f"http://{access}{address}?channel=1&password=secret", patience=5)
        next(iter(source))
        assert source.path == f"http://{address}?…"
        assert not [text for text in (source.path, source.name, source.report()) if "secret" in text or "user" in text]
    for url in ("http://user:secret@127.0.0.1:9/none?password=secret", "rtsp://us?er:secret@127.0.0.1:9"):
        with pytest.raises(UserError, match="cannot be opened") as error:
            LiveSource(url, patience=1)
        assert "secret" not in str(error.value) and "//127.0.0.1:9" in str(error.value)


# --- what is said about footage that may disappoint ------------------------------------------------------------------


def shown(monkeypatch, tmp_path, source):
    """`vid_predict.py` on a source with a network that finds nothing."""
    (tmp_path / "best.pt").write_bytes(b"stand-in")
    monkeypatch.setattr(
        Predictor,
        "from_checkpoint",
        classmethod(
            lambda cls, *_, **__: Predictor(
                lambda clips: np.zeros((len(clips), *clips.shape[-2:]), np.float32), ClipSettings(2, (128.0, 20.0))
            )
        ),
    )
    script("vid_predict").main(
        ["--weights", str(tmp_path / "best.pt"), "--source", str(source), "--quiet", "--out", str(tmp_path / "out")]
    )


def test_one_frame_several_sizes_and_colours_are_told(tmp_path, monkeypatch, capsys):
    write(tmp_path / "one" / "0.png", picture())
    shown(monkeypatch, tmp_path, tmp_path / "one")
    assert "one frame" in capsys.readouterr().err
    for number, size in enumerate([(32, 40), (32, 40), (64, 40)]):
        write(tmp_path / "sizes" / f"{number}.png", picture(number, size))
    shown(monkeypatch, tmp_path, tmp_path / "sizes")
    assert "2 sizes" in capsys.readouterr().err
    with VideoWriter(tmp_path / "palette.mp4", 25) as writer:
        for number in range(3):
            writer.write(cv2.applyColorMap(picture(number, (64, 64)), cv2.COLORMAP_JET))
    shown(monkeypatch, tmp_path, tmp_path / "palette.mp4")
    assert capsys.readouterr().err.count("in colour") == 1
    shown(monkeypatch, tmp_path, film(tmp_path / "grey.mp4"))
    assert "colour" not in capsys.readouterr().err
