"""Raw frames of 16 bits before networks that have learnt from 8: the same percentiles by every way in."""

import json

import numpy as np
import pytest
from scripts import script
from trees import picture, write

from utils.clips.settings import ClipSettings
from utils.commands.options import parse_window
from utils.predictor.frame_preparation import RAW_WINDOW, Intake, raw_window_for
from utils.predictor.predictor import Predictor
from utils.video.sources import SourceFrame

SHAPE = (48, 64)


def raw_frames(count, seed=0):
    """Counts of a 14-bit camera: noise around 8000, and a small target that moves."""
    frames = np.random.default_rng(seed).normal(8000, 20, (count, *SHAPE)).round().astype(np.uint16)
    for number, frame in enumerate(frames):
        frame[20:22, 5 + 2 * number : 7 + 2 * number] += 2000
    return list(frames)


def dark(seed=9):
    """A closed shutter: 16 bits, levels that 8 bits hold."""
    return np.random.default_rng(seed).normal(100, 8, SHAPE).round().astype(np.uint16)


def bright(seen=None, normalisation=(128.0, 20.0), num_frames=3):
    """A stand-in for a network: its probability is the key frame's brightness, above 0.5 from 3 standard deviations;
    `seen` takes the clips in grey levels."""

    def run(clips):
        if seen is not None:
            seen.extend(np.rint(clips * normalisation[1] + normalisation[0]))
        return 1 / (1 + np.exp(3 - clips[:, -1]))

    return Predictor(run, ClipSettings(num_frames, normalisation, name="bright"), multiple=1)


def sources(frames):
    return [SourceFrame(number, frame, f"{number}", None) for number, frame in enumerate(frames)]


def test_percentiles_given_by_hand_are_those_of_raw_frames():
    assert parse_window("p0.5,p99.9") == RAW_WINDOW
    noise = [np.random.default_rng(n).normal(8000, 20, SHAPE).round().astype(np.uint16) for n in range(4)]
    given, own = Intake(window=parse_window("p0.5,p99.9")), Intake(raw=RAW_WINDOW)
    for frame in noise:
        shown = given.prepare(frame)
        assert np.array_equal(shown, own.prepare(frame)) and 1.7 < shown.std() < 2.3
    stretched = Intake(window=parse_window("7940,8060"))  # levels are taken as they are given
    assert stretched.prepare(noise[0]).std() > 30
    counts = [
        [len(found.components) for found in bright().stream(map(intake.prepare, noise))]
        for intake in (Intake(window=parse_window("p0.5,p99.9")), stretched)
    ]
    assert sum(counts[0]) == 0 and min(counts[1]) > 10


def test_the_script_takes_percentiles_given_by_hand_as_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(Predictor, "from_checkpoint", classmethod(lambda cls, *_, **__: bright()))
    (tmp_path / "best.pt").write_bytes(b"stand-in")
    frames = raw_frames(6)
    for number, frame in enumerate(frames):
        write(tmp_path / "frames" / f"{number}.png", frame)
    found = {}
    for name, extra in (("default", []), ("given", ["--window", "p0.5,p99.9"])):
        script("vid_predict").main(
            [
                "--weights",
                str(tmp_path / "best.pt"),
                "--source",
                str(tmp_path / "frames"),
                "--out",
                str(tmp_path / name),
                "--quiet",
                *extra,
            ]
        )
        content = json.loads((tmp_path / name / "predictions.json").read_text())["frames"]
        found[name] = [[one["centroid"] for one in record["components"]] for record in content]
    assert found["default"] == found["given"] == [[[5.5 + 2 * number, 20.5]] for number in range(6)]
    assert found["default"] == [
        [list(one.centroid) for one in prediction.components] for prediction in bright().stream(frames)
    ]


def test_a_stream_shows_raw_frames_as_the_intake_does():
    frames, seen, expected = raw_frames(5), [], []
    found = list(bright(seen).stream(frames, batch_size=2))
    list(bright(expected).stream_with(Intake(raw=RAW_WINDOW).frames(sources(frames))))
    assert np.array_equal(seen, expected) and np.max(seen) <= 255
    assert [prediction.number for prediction in found] == list(range(5))
    again = []
    network = bright(again)
    list(network.stream([frame // 2 for frame in frames]))  # another sequence, of other levels
    again.clear()
    list(network.stream(frames))
    assert np.array_equal(again, expected)


@pytest.mark.parametrize(
    "normalisation, shown",
    [
        ((105.99, 25.6), RAW_WINDOW),
        (((123.7, 116.3, 103.5), (58.4, 57.1, 57.4)), RAW_WINDOW),
        ((255.0, 50.0), RAW_WINDOW),
        ((8000.0, 300.0), None),
        ((0.0, 1.0), None),
    ],
)
def test_only_networks_that_have_learnt_from_eight_bits_see_percentiles(normalisation, shown):
    assert raw_window_for(ClipSettings(1, normalisation, task="detection")) == shown
    if normalisation[0] != 0.0:  # what the training frames held counts for more than their mean
        for bits, expected in ((8, RAW_WINDOW), (16, None)):
            assert raw_window_for(ClipSettings(1, normalisation, task="detection", bits=bits)) == expected
    if np.ndim(normalisation[0]) == 0:
        seen, frame = [], raw_frames(1)[0]
        list(bright(seen, normalisation).stream([frame]))
        expected = Intake(raw=shown).prepare(frame)
        assert expected.dtype == (np.uint8 if shown else np.uint16)
        assert np.abs(seen[0][-1] - expected).max() <= 1


def test_clips_made_elsewhere_are_taken_as_they_are():
    frame, seen = raw_frames(1)[0], []
    list(bright(seen).stream_with([(0, frame, None)]))
    bright(seen).predict(np.stack([frame] * 3)[None])
    assert all(np.abs(clip - frame).max() <= 1 for clip in seen)


@pytest.mark.parametrize("before", [1, 4])
def test_raw_frames_after_a_closed_shutter(before):
    """They are shown as if they had come first, in clips of their own; the shutter's frames are as they are."""
    frames, shutter, calls = raw_frames(5), [dark(seed) for seed in range(before)], []
    seen, alone = [], []
    found = list(bright(seen).stream(shutter + frames))
    list(bright(alone).stream(frames))
    assert np.array_equal(seen[before:], alone) and np.array_equal(seen[before - 1][-1], shutter[-1])
    assert [prediction.number for prediction in found] == list(range(before + 5))
    intake = Intake(raw=RAW_WINDOW, on_raw=lambda: calls.append(len(shown)))
    shown = []
    for number, image, _ in intake.frames(sources(shutter + frames)):
        shown.append((number, image.dtype))
    assert calls == [before] and {dtype for _, dtype in shown} == {np.dtype(np.uint8)}
    assert [number for number, _ in shown] == [*range(before), *range(before + 1, before + 6)]


def test_a_shutter_that_closes_later_is_shown_like_the_rest():
    frames, intake = raw_frames(4), Intake(raw=RAW_WINDOW)
    frames[2] = dark()
    shown = list(intake.frames(sources(frames)))
    assert [number - shown[0][0] for number, *_ in shown] == [0, 1, 2, 3] and shown[2][1].max() == 0


def test_eight_bits_in_files_of_sixteen_are_eight_bits():
    eight = [picture(number, SHAPE) for number in range(4)]
    seen, wide = [], []
    list(bright(seen).stream(eight))
    list(bright(wide).stream([frame.astype(np.uint16) for frame in eight]))
    assert np.array_equal(seen, wide)
    inverted = Intake(invert=True, raw=RAW_WINDOW).prepare(eight[0].astype(np.uint16))
    assert np.array_equal(inverted, 255 - eight[0])


def test_frames_of_a_source_and_a_file_that_was_not_read():
    frames = raw_frames(3)
    plain, named = (list(bright().stream(items)) for items in (frames, sources(frames)))
    assert all(np.array_equal(one.probability, other.probability) for one, other in zip(plain, named, strict=True))
    with pytest.raises(ValueError, match=r"frame is None, expected grey \(H, W\)"):
        list(bright().stream([frames[0], None]))


def test_the_script_says_where_raw_frames_begin(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Predictor, "from_checkpoint", classmethod(lambda cls, *_, **__: bright()))
    (tmp_path / "best.pt").write_bytes(b"stand-in")
    for number, frame in enumerate([dark(), *raw_frames(6)]):
        write(tmp_path / "frames" / f"{number}.png", frame)
    script("vid_predict").main(
        [
            "--weights",
            str(tmp_path / "best.pt"),
            "--source",
            str(tmp_path / "frames"),
            "--out",
            str(tmp_path / "out"),
            "--quiet",
        ]
    )
    content = json.loads((tmp_path / "out" / "predictions.json").read_text())["frames"]
    assert capsys.readouterr().err.count("raw frames") == 1
    assert [len(record["components"]) for record in content] == [0] + [1] * 6
